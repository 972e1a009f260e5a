// SPDX-License-Identifier: Apache-2.0
// RingReader: reads one of init's rings, by a thread of its own, so that a slow reader slows that ring alone.
//
// Thread: built and finished by the main thread.
#pragma once

#include <atomic>
#include <optional>
#include <span>
#include <vector>

#include "vmm/machine/lifecycle/stop_control.h"
#include "vmm/machine/program/program_channel.h"
#include "vmm/os/event_fd.h"
#include "vmm/threads/thread.h"

namespace mayfly {

/// The objects that a stream's thread works with. All outlive it.
struct ProgramContext {
    ProgramChannel& channel;
    StopControl& stop;
};

/// By the reader's thread, which no pause waits for, but await_taken().
class RingTaker {
  public:
    RingTaker() = default;
    RingTaker(const RingTaker&) = delete;
    RingTaker& operator=(const RingTaker&) = delete;
    virtual ~RingTaker() = default;

    /// Whether this taker may take yet; asked again soon.
    [[nodiscard]] virtual bool may_take() { return true; }
    /// \returns whether more is wanted; if not, init is told.
    [[nodiscard]] virtual bool take(std::span<const std::byte> bytes) = 0;
    /// Init puts no more.
    virtual void on_over() = 0;
};

class RingReader {
  public:
    /// `taker` outlives it.
    RingReader(channel::RingName ring, RingTaker& taker, const ProgramContext& context)
        : ring_(ring), taker_(taker), context_(context) {}
    RingReader(const RingReader&) = delete;
    RingReader& operator=(const RingReader&) = delete;
    ~RingReader() { end(); }

    /// Once the channel is open. Errors: Os.
    Result<void> start();
    /// The ring may have bytes. Any thread.
    void on_doorbell();
    /// Waits until nothing is on its way from the ring to the taker; false if something still is at
    /// `deadline_ns`. While the machine is paused.
    [[nodiscard]] bool await_taken(u64 deadline_ns) const;
    /// Everything was taken, or the taker has left.
    [[nodiscard]] bool has_ended() const { return has_ended_.load(std::memory_order_acquire); }
    /// No vCPU runs any more: takes the rest, and then the thread ends.
    void begin_to_finish();
    /// Waits for that; when the end is abrupt, only while the taker accepts bytes.
    void await_end();
    /// Waits for the thread, which leaves the rest in the ring.
    void end();

  private:
    void run();
    /// \returns how long to wait then, in milliseconds; nothing at the end.
    [[nodiscard]] std::optional<int> step();
    void await_doorbell(int limit_ms) const;

    static constexpr std::size_t kBufferBytes = 64 << 10;

    const channel::RingName ring_;
    RingTaker& taker_;
    const ProgramContext context_;
    std::optional<EventFd> doorbell_;
    std::optional<EventFd> ended_;
    std::optional<Thread> thread_;
    std::vector<std::byte> buffer_;  // the thread's
    bool has_left_ = false;          // too: the taker wants no more, and init must be told
    std::atomic<bool> is_taking_ = false;
    std::atomic<bool> has_ended_ = false;
    std::atomic<bool> is_finishing_ = false;
    std::atomic<bool> is_over_ = false;
};

}  // namespace mayfly
