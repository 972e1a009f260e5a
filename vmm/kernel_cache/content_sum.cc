// SPDX-License-Identifier: Apache-2.0
#include "vmm/kernel_cache/content_sum.h"

#include <array>
#include <bit>
#include <cstring>

namespace mayfly {

namespace {

constexpr u64 kOdd = 0x9e37'79b9'7f4a'7c15;  // 2^64 divided by the golden ratio

// Four lanes, independent, so that their multiplications overlap.
using Block = std::array<u64, 4>;

// Each step is a bijection of the lane for a given word, and of the word for a given lane.
u64 stir(u64 lane, u64 word) { return std::rotl((lane ^ word) * kOdd, 29); }

}  // namespace

u64 content_sum(u64 sum, std::span<const std::byte> bytes) {
    Block lanes{sum, sum + 1, sum + 2, sum + 3};
    Block block;
    const auto stir_block = [&] {
        lanes[0] = stir(lanes[0], block[0]);
        lanes[1] = stir(lanes[1], block[1]);
        lanes[2] = stir(lanes[2], block[2]);
        lanes[3] = stir(lanes[3], block[3]);
    };
    u64 at = 0;
    // Sizes that the compiler knows: loads, and no calls of memcpy.
    for (; bytes.size() - at >= sizeof(block); at += sizeof(block)) {
        std::memcpy(block.data(), bytes.data() + at, sizeof(block));
        stir_block();
    }
    if (at < bytes.size()) {
        block = {};
        std::memcpy(block.data(), bytes.data() + at, bytes.size() - at);
        stir_block();
    }
    u64 total = bytes.size();
    for (const u64 lane : lanes) total = stir(total, lane);
    return total ^ (total >> 32);
}

}  // namespace mayfly
