// SPDX-License-Identifier: Apache-2.0
// The integer names used on every wire and in every register. Host sizes stay std::size_t.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mayfly {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i32 = std::int32_t;
using i64 = std::int64_t;

[[nodiscard]] constexpr u64 KiB(u64 n) { return n << 10; }
[[nodiscard]] constexpr u64 MiB(u64 n) { return n << 20; }
[[nodiscard]] constexpr u64 GiB(u64 n) { return n << 30; }

/// Of a page: the host's, the guest's and KVM's.
constexpr u64 kPageBytes = KiB(4);

/// `alignment` is a power of two.
[[nodiscard]] constexpr u64 align_down(u64 value, u64 alignment) { return value & ~(alignment - 1); }

/// `alignment` is a power of two. Wraps to 0 when no aligned value at or above `value` exists.
[[nodiscard]] constexpr u64 align_up(u64 value, u64 alignment) {
    return (value + alignment - 1) & ~(alignment - 1);
}

}  // namespace mayfly
