// SPDX-License-Identifier: Apache-2.0
#include "vmm/kernel_cache/content_sum.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace mayfly {

namespace {

constexpr u64 kOdd = 0x9e37'79b9'7f4a'7c15;  // 2^64 divided by the golden ratio
constexpr std::size_t kLanes = 4;            // independent, so that their multiplications overlap

using Block = std::array<u64, kLanes>;

// Each step is a bijection of the lane for a given word, and of the word for a given lane.
u64 stir(u64 lane, u64 word) { return std::rotl((lane ^ word) * kOdd, 29); }

}  // namespace

u64 content_sum(u64 sum, std::span<const std::byte> bytes) {
    Block lanes{sum, sum + 1, sum + 2, sum + 3};
    u64 rest = bytes.size();
    for (const std::byte* from = bytes.data(); rest > 0;) {
        Block block{};
        const u64 taken = std::min<u64>(rest, sizeof(block));
        std::memcpy(block.data(), from, taken);
        for (std::size_t i = 0; i < kLanes; ++i) lanes[i] = stir(lanes[i], block[i]);
        from += taken;
        rest -= taken;
    }
    u64 total = bytes.size();
    for (const u64 lane : lanes) total = stir(total, lane);
    return total ^ (total >> 32);
}

}  // namespace mayfly
