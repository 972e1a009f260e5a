// SPDX-License-Identifier: Apache-2.0
#include "vmm/memory/page_copy.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace mayfly {

namespace {

bool is_zero(const std::byte* page) {
    static constinit std::array<std::byte, kPageBytes> zeros{};
    return std::memcmp(page, zeros.data(), kPageBytes) == 0;
}

}  // namespace

void copy_to_fresh_pages(std::byte* to, const std::byte* from, u64 size_bytes) {
    // SAFETY: an address is looked at as an integer.
    const u64 edge = -reinterpret_cast<std::uintptr_t>(from) % kPageBytes;
    const u64 head = std::min(edge, size_bytes);
    std::memcpy(to, from, head);
    u64 at = head;
    for (; size_bytes - at >= kPageBytes; at += kPageBytes)
        if (!is_zero(from + at)) std::memcpy(to + at, from + at, kPageBytes);
    std::memcpy(to + at, from + at, size_bytes - at);
}

}  // namespace mayfly
