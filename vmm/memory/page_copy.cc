// SPDX-License-Identifier: Apache-2.0
#include "vmm/memory/page_copy.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace mayfly {

namespace {

constexpr u64 kPage = 4096;

bool is_zero(const std::byte* page) {
    static constinit std::array<std::byte, kPage> zeros{};
    return std::memcmp(page, zeros.data(), kPage) == 0;
}

}  // namespace

void copy_to_fresh_pages(std::byte* to, const std::byte* from, u64 size_bytes) {
    // SAFETY: an address is looked at as an integer.
    const u64 edge = -reinterpret_cast<std::uintptr_t>(from) % kPage;
    const u64 head = std::min(edge, size_bytes);
    std::memcpy(to, from, head);
    u64 at = head;
    for (; size_bytes - at >= kPage; at += kPage)
        if (!is_zero(from + at)) std::memcpy(to + at, from + at, kPage);
    std::memcpy(to + at, from + at, size_bytes - at);
}

}  // namespace mayfly
