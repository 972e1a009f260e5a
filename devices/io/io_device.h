// SPDX-License-Identifier: Apache-2.0
// IoDevice: the contract between a chip model and the bus. Five functions, no optional ones.
#pragma once

#include <string_view>

#include "vmm/error/ints.h"

namespace mayfly {

struct IoAccess {
    u64 offset_bytes;  ///< relative to the base the device was mapped at
    u8 size_bytes;     ///< 1, 2, 4 or 8; the whole access lies inside the mapped range
};

/// All ones in the low `size_bytes` bytes: what an unanswered access reads.
[[nodiscard]] constexpr u64 all_ones(u8 size_bytes) {
    return size_bytes >= 8 ? ~u64{0} : (u64{1} << (8 * size_bytes)) - 1;
}

/// `word` with the bytes of `value` put in: for a 32-bit register that may be written piece by piece. `at`
/// lies inside it.
[[nodiscard]] constexpr u32 with_bytes(u32 word, IoAccess at, u64 value) {
    const u64 mask = all_ones(at.size_bytes) << at.offset_bytes * 8;
    return static_cast<u32>((word & ~mask) | (value << at.offset_bytes * 8 & mask));
}

/// A device reachable through port I/O or MMIO. Called with that device's bus lock held, on a vCPU
/// thread or the console thread. Must not block, allocate, or fail: an unsuitable access reads as all ones
/// and is otherwise ignored.
class IoDevice {
  public:
    IoDevice() = default;
    IoDevice(const IoDevice&) = delete;
    IoDevice& operator=(const IoDevice&) = delete;
    virtual ~IoDevice() = default;

    [[nodiscard]] virtual std::string_view name() const = 0;
    [[nodiscard]] virtual u64 io_read(IoAccess at) = 0;
    /// `value` holds the low `at.size_bytes` bytes; the bits above them are zero.
    virtual void io_write(IoAccess at, u64 value) = 0;
    /// Sets the specification's reset values; the constructor calls the same code.
    virtual void reset() = 0;
};

}  // namespace mayfly
