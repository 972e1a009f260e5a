// SPDX-License-Identifier: Apache-2.0
// SplitRing: the device's side of a split virtqueue. VirtQueue owns one and is what devices use.
//
// Thread: under its device's lock. Spec: virtio 1.2 §2.7 "Split Virtqueues".
#pragma once

#include <span>

#include "devices/virtio/queue/chain.h"
#include "devices/virtio/queue/chain_parts.h"
#include "devices/virtio/queue/queue_format.h"
#include "vmm/memory/guest_memory.h"

namespace mayfly {

class SplitRing {
  public:
    /// Indices run freely, as the ring's own; modulo the size they select an entry.
    struct State {
        u16 size = 0;
        bool has_event_idx = false;
        bool has_indirect = false;
        bool are_doorbells_off = false;
        u16 next_avail = 0;
        u16 avail_seen = 0;  ///< avail.idx as read last; chains before it need no further read
        u16 next_used = 0;
        u16 published = 0;  ///< used.idx as the driver sees it
        u16 in_flight = 0;  ///< chains popped and not pushed
        WhyBroken why_broken = WhyBroken::No;
    };

    explicit SplitRing(const GuestMemory& memory) : memory_(memory) {}

    [[nodiscard]] bool start(const QueueSetup& setup);
    void stop();
    /// Right after start(): continues at `place` instead of the ring's beginning.
    void stand_at(const QueuePlace& place);
    [[nodiscard]] const State& state() const { return state_; }

    [[nodiscard]] Popped pop(std::span<iovec> storage);
    void unpop();
    void push(ChainToken chain, u32 written_bytes);
    /// Are there pushed chains that the driver does not see?
    [[nodiscard]] bool is_publish_due() const { return state_.next_used != state_.published; }
    [[nodiscard]] bool publish();
    void suppress_doorbells();
    [[nodiscard]] bool rearm_doorbells();

  private:
    [[nodiscard]] PopResult look_for_more();
    struct Walked {
        WhyBroken why_broken = WhyBroken::No;
        u16 descriptor_count = 0;
    };
    [[nodiscard]] Walked walk(u16 head, ChainParts& parts) const;
    [[nodiscard]] WhyBroken walk_table(u64 table_addr, u32 table_bytes, ChainParts& parts) const;
    PopResult latch(WhyBroken why);

    const GuestMemory& memory_;
    GuestWindow descriptors_;
    GuestWindow avail_;
    GuestWindow used_;
    State state_;
};

}  // namespace mayfly
