// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/block/block_slots.h"

#include <algorithm>
#include <new>
#include <type_traits>

#include "vmm/error/verify.h"

namespace mayfly {

namespace {

/// Two of them in a page.
constexpr std::size_t kPartsOutside = 128;
static_assert(kPartsOutside >= kBlockSegmentsMax && kPartsOutside * sizeof(iovec) == KiB(2));
static_assert(std::is_trivially_destructible_v<BlockSlot> && alignof(BlockSlot) <= 16);

u64 scratch_bytes(u32 chain_parts_max) { return align_up(chain_parts_max * sizeof(iovec), kPageBytes); }
u64 slots_bytes(u32 slot_count) { return align_up(slot_count * sizeof(BlockSlot), kPageBytes); }

}  // namespace

Result<BlockSlots> BlockSlots::create(u32 slot_count, u32 chain_parts_max) {
    const u64 outside_bytes = slot_count * kPartsOutside * sizeof(iovec);
    Mapping memory = TRY(Mapping::anonymous(
        scratch_bytes(chain_parts_max) + slots_bytes(slot_count) + outside_bytes, kPageBytes));
    return BlockSlots(std::move(memory), slot_count, chain_parts_max);
}

BlockSlots::BlockSlots(Mapping memory, u32 slot_count, u32 chain_parts_max)
    : memory_(std::move(memory)), slot_count_(slot_count) {
    std::byte* const slots_at = memory_.data() + scratch_bytes(chain_parts_max);
    // SAFETY: anonymous memory of our own, page aligned, large enough by create(); iovecs are created by
    // being written to, slots by placement new in take().
    scratch_ = {reinterpret_cast<iovec*>(memory_.data()), chain_parts_max};
    slots_ = reinterpret_cast<BlockSlot*>(slots_at);
    parts_outside_ = reinterpret_cast<iovec*>(slots_at + slots_bytes(slot_count));
}

std::span<iovec> BlockSlots::area(u32 index) const {
    return {parts_outside_ + index * kPartsOutside, kPartsOutside};
}

std::span<iovec> BlockSlots::take_area(BlockRun& run) {
    // no guest: take() made it 0; gather_parts() is for slots that can_join(), whose parts are inside, and
    // once for each run.
    VERIFY(run.area == 0);
    u32 index = fresh_area_;
    if (first_free_area_ != 0) {
        index = first_free_area_ - 1;
        first_free_area_ =
            static_cast<u32>(area(index)[0].iov_len);  // a free area stores the next one's index here
    } else {
        // no guest: a slot has one area at most, by the check above, and is freed together with it.
        VERIFY(fresh_area_ < slot_count_);
        ++fresh_area_;
    }
    run.area = static_cast<u16>(index + 1);
    return area(index);
}

std::span<iovec> BlockSlots::gather_parts(BlockRun& run) {
    const std::span<iovec> parts = take_area(run);
    auto into = parts.begin();
    for (BlockSlot* slot = run.first; slot != nullptr; slot = slot->next_in_run) {
        const std::span<const iovec> own = parts_of(*slot);
        into = std::copy(own.begin(), own.end(), into);
    }
    return parts.first(run.part_count);
}

BlockSlot* BlockSlots::take(std::span<const iovec> parts) {
    // no guest: parse_transfer() answers a request with more parts itself.
    VERIFY(parts.size() <= kBlockSegmentsMax);
    u32 index = fresh_index_;
    if (first_free_ != 0) {
        index = first_free_ - 1;
        first_free_ = slots_[index].next_free;
    } else {
        if (fresh_index_ == slot_count_) return nullptr;
        ++fresh_index_;
    }
    ++taken_count_;
    // Not value-initialised: the parts inside are written below, as many as there are.
    auto* const slot = new (&slots_[index]) BlockSlot;
    slot->index = static_cast<u16>(index);
    slot->next_free = 0;
    slot->next_in_run = nullptr;
    slot->part_count = static_cast<u16>(parts.size());
    slot->run.area = 0;
    const std::span<iovec> into =
        can_join(*slot) ? std::span<iovec>(slot->parts_inside) : take_area(slot->run);
    std::copy(parts.begin(), parts.end(), into.begin());
    return slot;
}

void BlockSlots::give_back(BlockSlot& slot) {
    // no guest: Block::finish() alone calls this, once for each slot that begin() took.
    VERIFY(taken_count_ > 0 && &slot == &slots_[slot.index]);
    --taken_count_;
    if (slot.run.area != 0) {
        area(slot.run)[0].iov_len = first_free_area_;
        first_free_area_ = slot.run.area;
    }
    slot.next_free = static_cast<u16>(first_free_);
    first_free_ = u32{slot.index} + 1;
}

}  // namespace mayfly
