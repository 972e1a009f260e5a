// SPDX-License-Identifier: Apache-2.0
#include "devices/io/bus.h"

#include <algorithm>

#include "vmm/error/verify.h"

namespace mayfly {

bool Bus::is_free(u64 base, u64 size_bytes) const {
    if (size_bytes == 0 || base > ~u64{0} - (size_bytes - 1)) return false;
    for (const Range& range : ranges()) {
        if (base <= range.base + (range.size_bytes - 1) && range.base <= base + (size_bytes - 1))
            return false;
    }
    return true;
}

void Bus::map(u64 base, u64 size_bytes, IoDevice& device, u64 offset_base) {
    // no guest: the machine maps its devices before a vCPU runs, and exit ports where is_free() said so.
    VERIFY(is_free(base, size_bytes));
    VERIFY(range_count_ < kRangesMax);
    Mutex* mutex = nullptr;
    for (const Range& range : ranges()) {
        if (range.device == &device) mutex = range.mutex;
    }
    if (mutex == nullptr) mutex = &mutexes_[mutex_count_++];
    std::size_t at = range_count_++;
    for (; at > 0 && ranges_[at - 1].base > base; --at) ranges_[at] = ranges_[at - 1];
    ranges_[at] = Range{base, size_bytes, offset_base, &device, mutex};
}

Bus::Hit Bus::find(u64 address, u8 size_bytes) const {
    const std::span<const Range> all = ranges();
    const auto next = std::upper_bound(all.begin(), all.end(), address,
                                       [](u64 at, const Range& range) { return at < range.base; });
    if (next == all.begin()) return {};
    const Range& range = *(next - 1);
    const u64 offset = address - range.base;
    if (offset >= range.size_bytes || size_bytes > range.size_bytes - offset) return {};
    return {&range, {range.offset_base + offset, size_bytes}};
}

u64 Bus::read(u64 address, u8 size_bytes) const {
    const Hit hit = find(address, size_bytes);
    if (hit.range == nullptr) {
        if (fallback_ == nullptr) return all_ones(size_bytes);
        return fallback_->io_read({address, size_bytes}) & all_ones(size_bytes);
    }
    const Lock guard(*hit.range->mutex);
    return hit.range->device->io_read(hit.at) & all_ones(size_bytes);
}

void Bus::write(u64 address, u8 size_bytes, u64 value) const {
    const Hit hit = find(address, size_bytes);
    if (hit.range == nullptr) {
        if (fallback_ != nullptr) fallback_->io_write({address, size_bytes}, value & all_ones(size_bytes));
        return;
    }
    const Lock guard(*hit.range->mutex);
    hit.range->device->io_write(hit.at, value & all_ones(size_bytes));
}

std::string_view Bus::name_at(u64 address) const {
    const Hit hit = find(address, 1);
    return hit.range == nullptr ? std::string_view{} : hit.range->device->name();
}

Mutex& Bus::mutex_of(const IoDevice& device) const {
    for (const Range& range : ranges()) {
        if (range.device == &device) return *range.mutex;
    }
    // no guest: asked by the owners of devices that are mapped, about their own.
    UNREACHABLE();
}

}  // namespace mayfly
