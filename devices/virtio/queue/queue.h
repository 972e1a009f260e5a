// SPDX-License-Identifier: Apache-2.0
// VirtQueue: the device's side of one virtqueue, split or packed.
//
// Everything the driver wrote is read once and checked; a ring that breaks the rules latches is_broken(),
// after which nothing is taken from it or written to it. Walks are bounded by the queue's size. Thread: under
// its device's lock, except has_work(), which any thread may call as a hint.
// Spec: virtio 1.2 §2.7 "Split Virtqueues", §2.8 "Packed Virtqueues".
#pragma once

#include <atomic>
#include <span>
#include <string_view>

#include "devices/virtio/queue/chain.h"
#include "devices/virtio/queue/packed_ring.h"
#include "devices/virtio/queue/queue_format.h"
#include "devices/virtio/queue/split_ring.h"
#include "vmm/memory/guest_memory.h"

namespace mayfly {

struct QueueCounts {
    u64 requests = 0;               ///< chains pushed
    u64 bytes = 0;                  ///< payload, as each device counts it
    u64 doorbells_trapped = 0;      ///< notifications that came back to user space
    u64 doorbells_caught = 0;       ///< wake-ups by ioeventfd
    u64 interrupts_suppressed = 0;  ///< publications after which the driver wanted none
    u64 interrupts_irqfd = 0;
    u64 interrupts_signal_msi = 0;
    u64 interrupts_line = 0;     ///< INTx or an edge GSI
    u64 interrupts_pending = 0;  ///< asked for while the vector was masked
};

class VirtQueue {
  public:
    static constexpr u16 kSizeMax = 1024;

    /// `memory` outlives it.
    explicit VirtQueue(const GuestMemory& memory);
    VirtQueue(const VirtQueue&) = delete;
    VirtQueue& operator=(const VirtQueue&) = delete;

    /// False when the size or an address is not one that the specification allows, or lies outside RAM.
    [[nodiscard]] bool start(const QueueSetup& setup);
    void stop();
    /// Of a running queue. Nothing is in flight and all is published, unless the driver broke the queue, or
    /// the device `has_failed` and answers nothing any more.
    [[nodiscard]] QueuePlace place(bool has_failed) const;
    /// start() again, at a place that place() returned. False as well where the queue cannot have that place.
    [[nodiscard]] bool start_at(const QueueSetup& setup, const QueuePlace& place);
    [[nodiscard]] bool is_running() const;
    [[nodiscard]] bool is_broken() const;
    /// The driver's mistake, for one line of log; empty while the queue is sound.
    [[nodiscard]] std::string_view why_broken() const;
    [[nodiscard]] u16 size() const;

    // --- from the driver ---

    /// The driver has made something available that was not popped yet. False when not running or broken.
    [[nodiscard]] bool has_work() const;
    /// Takes the next chain; its parts lie in `storage`. A chain of more parts than that is Broken.
    /// Chain parts are never empty. At most size() chains are popped and not pushed, whatever a driver does.
    [[nodiscard]] Popped pop(std::span<iovec> storage);
    /// Gives back the chain popped last, which was not pushed. Repeatable, newest first.
    void unpop(ChainToken chain);

    // --- to the driver ---

    /// Returns a chain, of which the device wrote the first `written_bytes` bytes. The driver sees the chain
    /// after publish().
    void push(ChainToken chain, u32 written_bytes);
    /// Makes pushed chains visible. \returns true when the driver wants an interrupt for it; false also when
    /// nothing was pushed.
    [[nodiscard]] bool publish();

    /// Asks for no doorbells while the device looks at the ring by itself. A hint; costs nothing.
    void suppress_doorbells();
    /// Asks for a doorbell at the next chain. \returns true when a chain came meanwhile: look again.
    [[nodiscard]] bool rearm_doorbells();

    /// push() and publish() count requests and suppressed interrupts; the sender of an interrupt counts the
    /// rest.
    QueueCounts counts;

  private:
    static constexpr u64 kNoHint = ~u64{0};

    void update_hint();

    const GuestMemory& memory_;
    SplitRing split_;
    PackedRing packed_;
    u16 size_ = 0;  ///< 0: not running
    bool is_packed_ = false;
    /// For has_work() of any thread: the address of the word that tells (bit 0: a packed ring), and the value
    /// that the device expects there. The two may be of different moments, which only makes the hint wrong.
    std::atomic<u64> hint_at_ = kNoHint;
    std::atomic<u16> hint_position_ = 0;
};

}  // namespace mayfly
