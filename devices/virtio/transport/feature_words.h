// SPDX-License-Identifier: Apache-2.0
// 64-bit quantities that registers show 32 bits at a time.
#pragma once

#include "vmm/error/ints.h"

namespace mayfly {

[[nodiscard]] constexpr u64 with_low_half(u64 whole, u32 low) { return (whole & ~u64{0xffff'ffff}) | low; }
[[nodiscard]] constexpr u64 with_high_half(u64 whole, u32 high) {
    return (whole & 0xffff'ffff) | u64{high} << 32;
}

/// Word `select` of a feature mask; words beyond the second are 0.
[[nodiscard]] constexpr u32 feature_word(u64 features, u32 select) {
    return select > 1 ? 0 : static_cast<u32>(features >> (32 * select));
}

[[nodiscard]] constexpr u64 with_feature_word(u64 features, u32 select, u32 word) {
    if (select > 1) return features;
    return (features & ~(u64{0xffff'ffff} << (32 * select))) | u64{word} << (32 * select);
}

}  // namespace mayfly
