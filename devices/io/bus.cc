// SPDX-License-Identifier: Apache-2.0
#include "devices/io/bus.h"

#include <algorithm>

#include "vmm/error/verify.h"

namespace mayfly {

bool Bus::is_free(u64 base, u64 size_bytes) const {
    if (size_bytes == 0 || base > ~u64{0} - (size_bytes - 1)) return false;
    // Ranges do not overlap, so the two neighbours decide.
    const auto next = std::upper_bound(ranges_.begin(), ranges_.end(), base, is_below);
    if (next != ranges_.end() && next->base - base < size_bytes) return false;
    return next == ranges_.begin() || base - (next - 1)->base >= (next - 1)->size_bytes;
}

void Bus::map(u64 base, u64 size_bytes, IoDevice& device, u64 offset_base) {
    // no guest: the machine maps its devices before a vCPU runs, and exit ports only where is_free() allowed
    // it.
    VERIFY(is_free(base, size_bytes));
    Mutex* mutex = nullptr;
    for (const Range& range : ranges_) {
        if (range.device == &device) mutex = range.mutex;
    }
    if (mutex == nullptr) mutex = &mutexes_.emplace_back();
    const auto behind = std::upper_bound(ranges_.begin(), ranges_.end(), base, is_below);
    ranges_.insert(behind, Range{base, size_bytes, offset_base, &device, mutex});
}

Bus::Hit Bus::find(u64 address, u8 size_bytes) const {
    const auto next = std::upper_bound(ranges_.begin(), ranges_.end(), address, is_below);
    if (next == ranges_.begin()) return {};
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
    for (const Range& range : ranges_) {
        if (range.device == &device) return *range.mutex;
    }
    // no guest: callers own devices that are mapped, and ask about those.
    UNREACHABLE();
}

}  // namespace mayfly
