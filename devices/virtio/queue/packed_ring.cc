// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/queue/packed_ring.h"

#include "vmm/error/verify.h"

namespace mayfly {

namespace {

u32 event_word(u16 position_bits, u16 flags) {
    return position_bits | (u32{flags} << virtio::EVENT_FLAGS_SHIFT);
}

}  // namespace

bool PackedRing::start(const QueueSetup& setup) {
    // virtio 1.2 §2.8.10.1 "Structure Size and Alignment": "The Queue Size value does not have to be a power
    // of 2."
    const auto descriptors =
        memory_.window(setup.descriptors, virtio::DESC_BYTES * setup.size, virtio::DESC_ALIGNMENT);
    const auto driver_events =
        memory_.window(setup.driver_area, virtio::EVENT_BYTES, virtio::EVENT_ALIGNMENT);
    const auto device_events =
        memory_.window(setup.device_area, virtio::EVENT_BYTES, virtio::EVENT_ALIGNMENT);
    if (!descriptors || !driver_events || !device_events) return false;
    descriptors_ = *descriptors;
    driver_events_ = *driver_events;
    device_events_ = *device_events;
    state_ = {.size = setup.size, .has_event_idx = setup.has_event_idx, .has_indirect = setup.has_indirect};
    return true;
}

void PackedRing::stop() {
    descriptors_ = {};
    driver_events_ = {};
    device_events_ = {};
    state_ = {};
}

bool PackedRing::stand_at(const QueuePlace& place) {
    const auto position = RingPosition::of_bits(place.position);
    if (position.index >= state_.size) return false;
    state_.next_avail = state_.next_used = position;
    state_.why_broken = place.why_broken;
    return true;
}

Popped PackedRing::pop(std::span<iovec> storage) {
    if (state_.why_broken != WhyBroken::No) return {.result = PopResult::Broken, .chain = {}};
    const u64 at = virtio::DESC_BYTES * state_.next_avail.index;
    // Length, id and flags are one word, read once. Pairs with the driver's barrier before it writes the
    // flags: the address and the rest of the list are complete. virtio 1.2 §2.8.21.1.1 "Driver Requirements:
    // Updating flags".
    const u64 word = descriptors_.load_acquire<u64>(at + virtio::DESC_LEN_ID_FLAGS);
    const virtio::PackedDescriptor first{.addr = descriptors_.load<u64>(at),
                                         .len = static_cast<u32>(word),
                                         .id = static_cast<u16>(word >> virtio::DESC_ID_SHIFT),
                                         .flags = static_cast<u16>(word >> virtio::DESC_FLAGS_SHIFT)};
    if (!state_.next_avail.is_available(first.flags)) return {};
    ChainParts parts(memory_, storage);
    const auto [why_broken, token] = walk(first, parts);
    if (why_broken != WhyBroken::No) {
        state_.why_broken = why_broken;
        return {.result = PopResult::Broken, .chain = {}};
    }
    state_.next_avail.advance(token.descriptor_count, state_.size);
    state_.in_flight = static_cast<u16>(state_.in_flight + token.descriptor_count);
    return {.result = PopResult::Chain, .chain = parts.chain(token)};
}

PackedRing::Walked PackedRing::walk(virtio::PackedDescriptor first, ChainParts& parts) const {
    RingPosition position = state_.next_avail;
    virtio::PackedDescriptor it = first;
    u16 count = 0;
    // A descriptor is not available again before it was published as used. Devices rely on this: it bounds
    // the memory that they keep per request.
    for (int room = state_.size - state_.in_flight - state_.unpublished; room > 0; --room) {
        ++count;
        if ((it.flags & virtio::DESC_F_INDIRECT) != 0) {
            // virtio 1.2 §2.8.19 "Driver Requirements: Indirect Descriptors": "A driver MUST NOT write direct
            // descriptors with DESC_F_INDIRECT set in a scatter-gather list linked by VIRTQ_DESC_F_NEXT."
            if (count > 1 || (it.flags & virtio::DESC_F_NEXT) != 0) return {WhyBroken::IndirectInList, {}};
            return {walk_table(it.addr, it.len, parts), {it.id, count}};
        }
        if (const WhyBroken why = parts.add(it.addr, it.len, (it.flags & virtio::DESC_F_WRITE) != 0);
            why != WhyBroken::No)
            return {why, {}};
        // "Buffer ID is included in the last descriptor in the list."
        if ((it.flags & virtio::DESC_F_NEXT) == 0) return {WhyBroken::No, {it.id, count}};
        position.advance(1, state_.size);
        it = descriptors_.copy<virtio::PackedDescriptor>(virtio::DESC_BYTES * position.index);
    }
    return {WhyBroken::TooManyAvailable, {}};
}

WhyBroken PackedRing::walk_table(u64 table_addr, u32 table_bytes, ChainParts& parts) const {
    if (const WhyBroken why = check_indirect(state_.has_indirect, table_bytes); why != WhyBroken::No)
        return why;
    const auto table = memory_.window(Gpa{table_addr}, table_bytes, 1);
    if (!table) return WhyBroken::TableOutside;
    // virtio 1.2 §2.8.7 "Indirect Flag: Scatter-Gather Support": every entry counts, in order; flags other
    // than WRITE "are reserved and are ignored by the device".
    for (u64 at = 0; at < table_bytes; at += virtio::DESC_BYTES) {
        const auto it = table->copy<virtio::PackedDescriptor>(at);
        if (const WhyBroken why = parts.add(it.addr, it.len, (it.flags & virtio::DESC_F_WRITE) != 0);
            why != WhyBroken::No)
            return why;
    }
    return WhyBroken::No;
}

void PackedRing::unpop(ChainToken chain) {
    // no guest: devices unpop() the chain that they popped last, under the same hold of the lock.
    VERIFY(state_.in_flight >= chain.descriptor_count);
    state_.in_flight = static_cast<u16>(state_.in_flight - chain.descriptor_count);
    state_.next_avail.retreat(chain.descriptor_count, state_.size);
}

void PackedRing::push(ChainToken chain, u32 written_bytes) {
    // no guest: devices push what they popped, once, and no queue that has chains out starts anew
    // (VirtioCore::start_queues(), clear()); walk() counts the first descriptor of each.
    VERIFY(state_.in_flight >= chain.descriptor_count && chain.descriptor_count > 0);
    const RingPosition at = state_.next_used;
    // virtio 1.2 §2.8.3 "Write Flag": in a used descriptor it says whether the length is meaningful.
    const u64 flags = (at.wrap ? virtio::DESC_F_AVAIL | virtio::DESC_F_USED : 0U) |
                      (written_bytes != 0 ? virtio::DESC_F_WRITE : 0U);
    const u64 word =
        written_bytes | (u64{chain.id} << virtio::DESC_ID_SHIFT) | (flags << virtio::DESC_FLAGS_SHIFT);
    if (state_.unpublished == 0) {
        state_.first_index = at.index;
        state_.first_word = word;
    } else {
        // The driver looks at these only after the first, which publish() writes.
        descriptors_.store<u64>(virtio::DESC_BYTES * at.index + virtio::DESC_LEN_ID_FLAGS, word);
    }
    state_.next_used.advance(chain.descriptor_count, state_.size);
    state_.unpublished = static_cast<u16>(state_.unpublished + chain.descriptor_count);
    state_.in_flight = static_cast<u16>(state_.in_flight - chain.descriptor_count);
}

bool PackedRing::publish() {
    const u16 count = state_.unpublished;
    state_.unpublished = 0;
    // A release of the others, and a full barrier between the ring and what the driver wants, as in a split
    // ring. virtio 1.2 §2.8.22 "Receiving Used Buffers From The Device" has the driver's half.
    descriptors_.store_fenced<u64>(virtio::DESC_BYTES * state_.first_index + virtio::DESC_LEN_ID_FLAGS,
                                   state_.first_word);
    const u32 wanted = driver_events_.load_fenced<u32>(0);
    const u32 mode = (wanted >> virtio::EVENT_FLAGS_SHIFT) & virtio::RING_EVENT_FLAGS_MASK;
    if (mode == virtio::RING_EVENT_FLAGS_DISABLE) return false;
    if (mode != virtio::RING_EVENT_FLAGS_DESC || !state_.has_event_idx) return true;
    const auto event = RingPosition::of_bits(static_cast<u16>(wanted));
    // As free-running indices: an event of the other round lies before this one.
    const auto offset =
        static_cast<u16>(event.index - (event.wrap != state_.next_used.wrap ? state_.size : 0));
    const u16 now = state_.next_used.index;
    return has_crossed(offset, now, static_cast<u16>(now - count));
}

void PackedRing::suppress_doorbells() {
    if (state_.are_doorbells_off) return;
    state_.are_doorbells_off = true;
    device_events_.store<u32>(0, event_word(0, virtio::RING_EVENT_FLAGS_DISABLE));
}

bool PackedRing::rearm_doorbells() {
    state_.are_doorbells_off = false;
    // The driver makes a descriptor available, then a barrier, then reads this. We store this, then a
    // barrier, then read the descriptor. virtio 1.2 §2.8.21.2 "Sending Available
    // Buffer Notifications".
    const u16 flags = state_.has_event_idx ? virtio::RING_EVENT_FLAGS_DESC : virtio::RING_EVENT_FLAGS_ENABLE;
    device_events_.store_fenced<u32>(0, event_word(state_.next_avail.bits(), flags));
    const u64 flags_at = virtio::DESC_BYTES * state_.next_avail.index + virtio::DESC_FLAGS;
    return state_.next_avail.is_available(descriptors_.load_fenced<u16>(flags_at));
}

}  // namespace mayfly
