// SPDX-License-Identifier: Apache-2.0
// PackedRing: the device's side of a packed virtqueue. VirtQueue owns one and is what devices use.
//
// A buffer id belongs to the driver: it is returned unchanged and indexes nothing here, so any value is
// accepted. Thread: under its device's lock. Spec: virtio 1.2 §2.8 "Packed Virtqueues".
#pragma once

#include <span>

#include "devices/virtio/queue/chain.h"
#include "devices/virtio/queue/chain_parts.h"
#include "devices/virtio/queue/queue_format.h"
#include "devices/virtio/queue/queue_spec.h"
#include "vmm/memory/guest_memory.h"

namespace mayfly {

/// A place in the ring and the wrap counter of the round.
/// virtio 1.2 §2.8.1 "Driver and Device Ring Wrap Counters".
struct RingPosition {
    u16 index = 0;
    bool wrap = true;  ///< "The Ring Wrap Counter … is initialized to 1"

    /// As event suppression structures write it.
    [[nodiscard]] constexpr u16 bits() const {
        return static_cast<u16>(index | (wrap ? virtio::EVENT_WRAP : 0));
    }
    [[nodiscard]] static constexpr RingPosition of_bits(u16 bits) {
        return {.index = static_cast<u16>(bits & ~virtio::EVENT_WRAP),
                .wrap = (bits & virtio::EVENT_WRAP) != 0};
    }
    /// Is a descriptor here with these flags the driver's new one of this round?
    [[nodiscard]] constexpr bool is_available(u16 flags) const {
        return ((flags & virtio::DESC_F_AVAIL) != 0) == wrap && ((flags & virtio::DESC_F_USED) != 0) != wrap;
    }
    /// `count` is at most `size`.
    void advance(u16 count, u16 size) {
        index = static_cast<u16>(index + count);
        if (index < size) return;
        index = static_cast<u16>(index - size);
        wrap = !wrap;
    }
    void retreat(u16 count, u16 size) {
        if (index < count) {
            index = static_cast<u16>(index + size);
            wrap = !wrap;
        }
        index = static_cast<u16>(index - count);
    }
};

class PackedRing {
  public:
    struct State {
        u16 size = 0;
        bool has_event_idx = false;
        bool has_indirect = false;
        bool are_doorbells_off = false;
        RingPosition next_avail{};
        RingPosition next_used{};
        u16 in_flight = 0;  ///< descriptors popped and not pushed
        /// Descriptors pushed and not published. The first of them is written last, at publish().
        u16 unpublished = 0;
        u16 first_index = 0;
        u64 first_word = 0;
        WhyBroken why_broken = WhyBroken::No;
    };

    explicit PackedRing(const GuestMemory& memory) : memory_(memory) {}

    [[nodiscard]] bool start(const QueueSetup& setup);
    void stop();
    /// Right after start(): continues at `place` instead of the ring's beginning. False: the ring has no such
    /// place.
    [[nodiscard]] bool stand_at(const QueuePlace& place);
    [[nodiscard]] const State& state() const { return state_; }

    [[nodiscard]] Popped pop(std::span<iovec> storage);
    void unpop(ChainToken chain);
    void push(ChainToken chain, u32 written_bytes);
    [[nodiscard]] bool is_publish_due() const { return state_.unpublished != 0; }
    [[nodiscard]] bool publish();
    void suppress_doorbells();
    [[nodiscard]] bool rearm_doorbells();

  private:
    struct Walked {
        WhyBroken why_broken = WhyBroken::No;
        ChainToken token;
    };
    /// Walks the list whose first descriptor was read.
    [[nodiscard]] Walked walk(virtio::PackedDescriptor first, ChainParts& parts) const;
    [[nodiscard]] WhyBroken walk_table(u64 table_addr, u32 table_bytes, ChainParts& parts) const;

    const GuestMemory& memory_;
    GuestWindow descriptors_;
    GuestWindow driver_events_;
    GuestWindow device_events_;
    State state_;
};

}  // namespace mayfly
