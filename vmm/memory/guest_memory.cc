// SPDX-License-Identifier: Apache-2.0
#include "vmm/memory/guest_memory.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "vmm/error/verify.h"

namespace mayfly {

GuestMemory::GuestMemory(std::span<const GuestRegion> regions) : count_(regions.size()) {
    // no guest: GuestRam::create() makes one or two.
    VERIFY(regions.size() <= kRegionsMax);
    std::copy(regions.begin(), regions.end(), regions_.begin());
}

MemStatus GuestMemory::read(Gpa at, std::span<std::byte> out) const {
    if (out.empty()) return MemStatus::Ok;
    const std::byte* host = find(at, out.size());
    if (host == nullptr) return MemStatus::OutOfRange;
    std::memcpy(out.data(), host, out.size());
    // The copy is what gets checked and used: keep the compiler from fetching the guest's bytes again.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return MemStatus::Ok;
}

MemStatus GuestMemory::write(Gpa at, std::span<const std::byte> in) const {
    if (in.empty()) return MemStatus::Ok;
    std::byte* host = find(at, in.size());
    if (host == nullptr) return MemStatus::OutOfRange;
    std::memcpy(host, in.data(), in.size());
    return MemStatus::Ok;
}

MemStatus GuestMemory::fill(Gpa at, u64 size_bytes, std::byte with) const {
    if (size_bytes == 0) return MemStatus::Ok;
    std::byte* host = find(at, size_bytes);
    if (host == nullptr) return MemStatus::OutOfRange;
    std::memset(host, static_cast<int>(with), size_bytes);
    return MemStatus::Ok;
}

std::optional<GuestWindow> GuestMemory::window(Gpa at, u64 size_bytes, u64 alignment_bytes) const {
    if (at.value % alignment_bytes != 0) return std::nullopt;
    std::byte* host = find(at, size_bytes);
    if (host == nullptr) return std::nullopt;
    return GuestWindow(host, size_bytes);
}

u64 GuestMemory::size_bytes() const {
    u64 total = 0;
    for (const GuestRegion& region : regions()) total += region.size_bytes;
    return total;
}

}  // namespace mayfly
