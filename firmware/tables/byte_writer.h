// SPDX-License-Identifier: Apache-2.0
// ByteWriter: little-endian bytes appended to a buffer of fixed size, for tables whose lengths and checksums
// are known only at their end.
//
// Not a stream: it never allocates. What does not fit is counted but not stored, so that one check of fits()
// at the end is enough and the error can say how much was needed.
// Thread: any; one writer per buffer.
#pragma once

#include <span>
#include <string_view>

#include "vmm/error/ints.h"

namespace mayfly {

class ByteWriter {
  public:
    /// `out` need not be initialised: every byte up to size() is stored.
    constexpr explicit ByteWriter(std::span<u8> out) : out_(out) {}

    constexpr void put8(u8 value) {
        if (size_ < out_.size()) out_[size_] = value;
        ++size_;
    }
    constexpr void put16(u16 value) { put_low_bytes(value, 2); }
    constexpr void put32(u32 value) { put_low_bytes(value, 4); }
    constexpr void put64(u64 value) { put_low_bytes(value, 8); }
    constexpr void put_low_bytes(u64 value, unsigned count) {
        for (unsigned i = 0; i < count; ++i) put8(static_cast<u8>(value >> (8 * i)));
    }
    constexpr void text(std::string_view characters) {
        for (const char c : characters) put8(static_cast<u8>(c));
    }
    constexpr void zeros(std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) put8(0);
    }
    /// Zeros up to the next multiple of `alignment`, a power of two.
    constexpr void align(std::size_t alignment) { zeros(align_up(size_, alignment) - size_); }

    constexpr void patch8(std::size_t at, u8 value) {
        if (at < size_ && at < out_.size()) out_[at] = value;
    }
    constexpr void patch16(std::size_t at, u16 value) { patch_low_bytes(at, value, 2); }
    constexpr void patch32(std::size_t at, u32 value) { patch_low_bytes(at, value, 4); }
    constexpr void patch64(std::size_t at, u64 value) { patch_low_bytes(at, value, 8); }

    /// Moves everything from `at` on by `count` bytes; the caller patches the gap.
    constexpr void open_gap(std::size_t at, std::size_t count) {
        const std::size_t end = size_;
        zeros(count);
        if (!fits()) return;
        for (std::size_t i = end; i > at; --i) out_[i - 1 + count] = out_[i - 1];
    }

    /// The value that makes the bytes from `begin` to the end sum to zero, where it now stands as zero.
    [[nodiscard]] constexpr u8 checksum_from(std::size_t begin) const {
        unsigned sum = 0;
        for (std::size_t i = begin; i < size_ && i < out_.size(); ++i) sum += out_[i];
        return static_cast<u8>(0x100 - (sum & 0xff));
    }

    /// Bytes appended so far, stored or not.
    [[nodiscard]] constexpr std::size_t size() const { return size_; }
    [[nodiscard]] constexpr bool fits() const { return size_ <= out_.size(); }
    /// What was stored. Only whole when fits().
    [[nodiscard]] constexpr std::span<const u8> written() const {
        return out_.first(fits() ? size_ : out_.size());
    }

  private:
    constexpr void patch_low_bytes(std::size_t at, u64 value, unsigned count) {
        for (unsigned i = 0; i < count; ++i) patch8(at + i, static_cast<u8>(value >> (8 * i)));
    }

    std::span<u8> out_;
    std::size_t size_ = 0;
};

}  // namespace mayfly
