// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/deferred_ram.h"

#include <algorithm>

#include "vmm/error/verify.h"

namespace mayfly {

DeferredRam::DeferredRam(KvmVm& vm, const GuestMemory& memory, std::span<const GuestRegion> regions,
                         u32 first_slot, StopControl& stop)
    : vm_(vm), memory_(memory), count_(regions.size()), first_slot_(first_slot), stop_(stop) {
    VERIFY(regions.size() <= regions_.size());
    std::copy(regions.begin(), regions.end(), regions_.begin());
}

void DeferredRam::map_onto(Bus& mmio) {
    for (const GuestRegion& region : std::span(regions_).first(count_))
        mmio.map(region.base.value, region.size_bytes, *this, region.base.value);
}

bool DeferredRam::attach() {
    if (is_attached_) return false;
    is_attached_ = true;
    for (std::size_t i = 0; i < count_; ++i) {
        const Result<void> made = vm_.set_memory(first_slot_ + static_cast<u32>(i), regions_[i]);
        if (!made) stop_.end({EndKind::HostError, 0, "guest RAM: " + made.error().message()});
    }
    return true;
}

u64 DeferredRam::io_read(IoAccess at) {
    attach();
    u64 value = 0;
    // Another vCPU may have been on its way here when the slot was made: still memory, still this access.
    (void)memory_.read(Gpa{at.offset_bytes},
                       std::as_writable_bytes(std::span(&value, 1)).first(at.size_bytes));
    return value;
}

void DeferredRam::io_write(IoAccess at, u64 value) {
    attach();
    (void)memory_.write(Gpa{at.offset_bytes}, std::as_bytes(std::span(&value, 1)).first(at.size_bytes));
}

}  // namespace mayfly
