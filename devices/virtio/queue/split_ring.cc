// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/queue/split_ring.h"

#include <bit>

#include "devices/virtio/queue/queue_spec.h"
#include "vmm/error/verify.h"

namespace mayfly {

bool SplitRing::start(const QueueSetup& setup) {
    // virtio 1.2 §2.7 "Split Virtqueues": "Queue Size value is always a power of 2." Sizes and alignments of
    // the parts are from the table there.
    if (!std::has_single_bit(setup.size)) return false;
    const auto descriptors =
        memory_.window(setup.descriptors, virtio::DESC_BYTES * setup.size, virtio::DESC_ALIGNMENT);
    const auto avail =
        memory_.window(setup.driver_area, virtio::avail_bytes(setup.size), virtio::AVAIL_ALIGNMENT);
    const auto used =
        memory_.window(setup.device_area, virtio::used_bytes(setup.size), virtio::USED_ALIGNMENT);
    if (!descriptors || !avail || !used) return false;
    descriptors_ = *descriptors;
    avail_ = *avail;
    used_ = *used;
    state_ = {.size = setup.size, .has_event_idx = setup.has_event_idx, .has_indirect = setup.has_indirect};
    return true;
}

void SplitRing::stop() {
    descriptors_ = {};
    avail_ = {};
    used_ = {};
    state_ = {};
}

void SplitRing::stand_at(const QueuePlace& place) {
    state_.next_avail = state_.avail_seen = state_.next_used = state_.published = place.position;
    state_.why_broken = place.why_broken;
}

PopResult SplitRing::latch(WhyBroken why) {
    state_.why_broken = why;
    return PopResult::Broken;
}

PopResult SplitRing::look_for_more() {
    // Pairs with the driver's barrier before it writes idx: descriptors and entries up to it are complete.
    // virtio 1.2 §2.7.13.3 "Updating idx".
    const u16 idx = avail_.load_acquire<u16>(virtio::AVAIL_IDX);
    if (idx == state_.next_avail) return PopResult::Empty;
    // A buffer takes at least one descriptor, so no more than `size` can be with the device. Devices rely on
    // this: it bounds the memory that they keep per request.
    if (static_cast<u16>(idx - state_.published) > state_.size) return latch(WhyBroken::AvailIdxTooFar);
    // The index went back behind the chains that were taken. virtio 1.2 §2.7.6.1 "Driver Requirements: The
    // Virtqueue Available Ring": "A driver MUST NOT decrement the available idx on a virtqueue".
    if (static_cast<u16>(idx - state_.published) < static_cast<u16>(state_.next_avail - state_.published))
        return latch(WhyBroken::AvailIdxBackwards);
    state_.avail_seen = idx;
    return PopResult::Chain;
}

Popped SplitRing::pop(std::span<iovec> storage) {
    if (state_.why_broken != WhyBroken::No) return {.result = PopResult::Broken, .chain = {}};
    if (state_.next_avail == state_.avail_seen) {
        const PopResult more = look_for_more();
        if (more != PopResult::Chain) return {.result = more, .chain = {}};
    }
    const u64 slot = state_.next_avail & (state_.size - 1U);
    const u16 head = avail_.load<u16>(virtio::AVAIL_RING + virtio::AVAIL_ELEMENT_BYTES * slot);
    ChainParts parts(memory_, storage);
    const Walked walked = walk(head, parts);
    if (walked.why_broken != WhyBroken::No) return {.result = latch(walked.why_broken), .chain = {}};
    ++state_.next_avail;
    ++state_.in_flight;
    return {.result = PopResult::Chain,
            .chain = parts.chain({.id = head, .descriptor_count = walked.descriptor_count})};
}

SplitRing::Walked SplitRing::walk(u16 head, ChainParts& parts) const {
    u16 count = 0;
    for (u16 index = head; count < state_.size;) {
        if (index >= state_.size) return {WhyBroken::IndexTooLarge};
        const auto it = descriptors_.copy<virtio::SplitDescriptor>(virtio::DESC_BYTES * index);
        ++count;
        if ((it.flags & virtio::DESC_F_INDIRECT) != 0) {
            // virtio 1.2 §2.7.5.3.2 "Device Requirements: Indirect Descriptors": "The device MUST handle the
            // case of zero or more normal chained descriptors followed by a single descriptor with
            // flags&VIRTQ_DESC_F_INDIRECT." Its WRITE is ignored.
            if ((it.flags & virtio::DESC_F_NEXT) != 0) return {WhyBroken::IndirectHasNext};
            return {walk_table(it.addr, it.len, parts), count};
        }
        if (const WhyBroken why = parts.add(it.addr, it.len, (it.flags & virtio::DESC_F_WRITE) != 0);
            why != WhyBroken::No)
            return {why};
        if ((it.flags & virtio::DESC_F_NEXT) == 0) return {WhyBroken::No, count};
        index = it.next;
    }
    return {WhyBroken::ChainTooLong};
}

WhyBroken SplitRing::walk_table(u64 table_addr, u32 table_bytes, ChainParts& parts) const {
    if (const WhyBroken why = check_indirect(state_.has_indirect, table_bytes); why != WhyBroken::No)
        return why;
    const auto table = memory_.window(Gpa{table_addr}, table_bytes, 1);
    if (!table) return WhyBroken::TableOutside;
    const u64 entries = table_bytes / virtio::DESC_BYTES;
    // Deviation: a table may describe more parts than the queue's size, as Linux drivers do; the caller's
    // storage bounds this walk: each turn takes one part.
    for (u64 index = 0;;) {
        if (index >= entries) return WhyBroken::TableIndexTooLarge;
        const auto it = table->copy<virtio::SplitDescriptor>(virtio::DESC_BYTES * index);
        // virtio 1.2 §2.7.5.3.1 "Driver Requirements: Indirect Descriptors": "only one table per descriptor".
        if ((it.flags & virtio::DESC_F_INDIRECT) != 0) return WhyBroken::TableNested;
        if (const WhyBroken why = parts.add(it.addr, it.len, (it.flags & virtio::DESC_F_WRITE) != 0);
            why != WhyBroken::No)
            return why;
        if ((it.flags & virtio::DESC_F_NEXT) == 0) return WhyBroken::No;
        index = it.next;
    }
}

void SplitRing::unpop() {
    // no guest: devices unpop() the chain that they popped last, under the same hold of the lock.
    VERIFY(state_.in_flight > 0);
    --state_.next_avail;
    --state_.in_flight;
}

void SplitRing::push(ChainToken chain, u32 written_bytes) {
    // no guest: devices push what they popped, once, and no queue that has chains out starts anew
    // (VirtioCore::start_queues(), clear()).
    VERIFY(state_.in_flight > 0);
    const u64 slot = state_.next_used & (state_.size - 1U);
    const u64 element = virtio::USED_RING + virtio::USED_ELEMENT_BYTES * slot;
    used_.store<u32>(element + virtio::USED_ELEMENT_ID, chain.id);
    used_.store<u32>(element + virtio::USED_ELEMENT_LEN, written_bytes);
    ++state_.next_used;
    --state_.in_flight;
}

bool SplitRing::publish() {
    const u16 before = state_.published;
    const u16 now = state_.next_used;
    state_.published = now;
    // A release of the elements, and a full barrier between used.idx and what the driver wants: a driver that
    // asks for an interrupt and looks at used.idx afterwards (virtio 1.2 §2.7.14 "Receiving Used Buffers From
    // The Device") either sees this or is seen.
    used_.store_fenced<u16>(virtio::USED_IDX, now);
    if (!state_.has_event_idx)
        return (avail_.load_fenced<u16>(virtio::AVAIL_FLAGS) & virtio::AVAIL_F_NO_INTERRUPT) == 0;
    return has_crossed(avail_.load_fenced<u16>(virtio::used_event_at(state_.size)), now, before);
}

void SplitRing::suppress_doorbells() {
    // With EVENT_IDX a stale avail_event suffices: the driver passed it when it last rang.
    if (state_.has_event_idx || state_.are_doorbells_off) return;
    state_.are_doorbells_off = true;
    used_.store<u16>(virtio::USED_FLAGS, virtio::USED_F_NO_NOTIFY);
}

bool SplitRing::rearm_doorbells() {
    // virtio 1.2 §2.7.10.1 "Driver Requirements: Available Buffer Notification Suppression": the driver
    // writes idx, then a barrier, then reads these. We store these, then a barrier, then read idx.
    if (state_.has_event_idx) {
        used_.store_fenced<u16>(virtio::avail_event_at(state_.size), state_.next_avail);
    } else {
        state_.are_doorbells_off = false;
        used_.store_fenced<u16>(virtio::USED_FLAGS, 0);
    }
    return avail_.load_fenced<u16>(virtio::AVAIL_IDX) != state_.next_avail;
}

}  // namespace mayfly
