// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/fs/fs_slots.h"

#include <new>
#include <type_traits>

#include "vmm/error/verify.h"

namespace mayfly {

static_assert(std::is_trivially_destructible_v<FsSlot> && alignof(FsSlot) <= 16);

Result<FsSlots> FsSlots::create(u16 slot_count) {
    Mapping memory = TRY(Mapping::anonymous(slot_count * FsSlot::kBytes, kPageBytes));
    return FsSlots(std::move(memory), slot_count);
}

FsSlot* FsSlots::at(u32 index) const {
    // SAFETY: anonymous memory of our own, page aligned, large enough by create(); a slot is created by
    // placement new in take(), and asked for by callers that had it from there.
    return reinterpret_cast<FsSlot*>(memory_.data() + index * FsSlot::kBytes);
}

FsSlot* FsSlots::take() {
    u32 index = fresh_index_;
    if (first_free_ != 0) {
        index = first_free_ - 1;
        first_free_ = at(index)->next_free;
    } else {
        if (fresh_index_ == slot_count_) return nullptr;
        ++fresh_index_;
    }
    ++taken_count_;
    // Not value-initialised: pop() writes as many parts as there are.
    auto* const slot = new (at(index)) FsSlot;
    slot->index = static_cast<u16>(index);
    slot->next_free = 0;
    return slot;
}

void FsSlots::give_back(FsSlot& slot) {
    // no guest: Fs alone calls this, once for each slot that it took.
    VERIFY(taken_count_ > 0 && &slot == at(slot.index));
    --taken_count_;
    slot.next_free = static_cast<u16>(first_free_);
    first_free_ = u32{slot.index} + 1;
}

}  // namespace mayfly
