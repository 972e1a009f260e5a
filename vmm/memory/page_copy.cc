// SPDX-License-Identifier: Apache-2.0
#include "vmm/memory/page_copy.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace mayfly {

/// Our own, because some C libraries compare byte by byte.
bool is_zero_page(const std::byte* page) {
    constexpr u64 kStep = 64;
    for (u64 at = 0; at != kPageBytes; at += kStep) {
        u64 bits = 0;
#pragma GCC unroll 8
        for (u64 offset = 0; offset != kStep; offset += sizeof(u64)) {
            u64 word;
            std::memcpy(&word, page + at + offset, sizeof word);
            bits |= word;
        }
        if (bits != 0) return false;
    }
    return true;
}

void copy_to_fresh_pages(std::byte* to, const std::byte* from, u64 size_bytes) {
    // SAFETY: an address is looked at as an integer.
    const u64 edge = -reinterpret_cast<std::uintptr_t>(from) % kPageBytes;
    const u64 head = std::min(edge, size_bytes);
    std::memcpy(to, from, head);
    u64 at = head;
    for (; size_bytes - at >= kPageBytes; at += kPageBytes)
        if (!is_zero_page(from + at)) std::memcpy(to + at, from + at, kPageBytes);
    std::memcpy(to + at, from + at, size_bytes - at);
}

}  // namespace mayfly
