// SPDX-License-Identifier: Apache-2.0
// ByteWriter: little-endian bytes appended to a buffer of fixed size, for tables whose lengths and checksums
// are known only at their end.
//
// Not a stream: it never allocates. Bytes that do not fit are counted but not stored, so that one check of
// fits() at the end suffices and the error can tell the needed size.
// Thread: any; one writer per buffer.
#pragma once

#include <cstring>
#include <span>
#include <string_view>

#include "vmm/error/ints.h"
#include "vmm/error/verify.h"

namespace mayfly {

class ByteWriter final {
  public:
    /// `out` need not be initialised: every byte up to size() is stored.
    explicit ByteWriter(std::span<u8> out) : out_(out) {}

    void put8(u8 value) { put_low_bytes(value, 1); }
    void put16(u16 value) { put_low_bytes(value, 2); }
    void put32(u32 value) { put_low_bytes(value, 4); }
    void put64(u64 value) { put_low_bytes(value, 8); }
    /// The low `count` bytes of `value`, at most 8.
    void put_low_bytes(u64 value, std::size_t count) { store(&value, count); }
    void text(std::string_view characters) { store(characters.data(), characters.size()); }
    void bytes(std::span<const u8> content) { store(content.data(), content.size()); }
    void zeros(std::size_t count) {
        if (has_room(count)) std::memset(out_.data() + size_, 0, count);
        size_ += count;
    }
    /// Zeros up to the next multiple of `alignment`, a power of two.
    void align(std::size_t alignment) { zeros(align_up(size_, alignment) - size_); }

    void patch8(std::size_t at, u8 value) { patch_low_bytes(at, value, 1); }
    void patch16(std::size_t at, u16 value) { patch_low_bytes(at, value, 2); }
    void patch32(std::size_t at, u32 value) { patch_low_bytes(at, value, 4); }
    void patch64(std::size_t at, u64 value) { patch_low_bytes(at, value, 8); }
    /// Replaces `count` bytes that are already written. Does nothing once a byte did not fit.
    void patch_low_bytes(std::size_t at, u64 value, std::size_t count) {
        if (!fits()) return;
        VERIFY(at <= size_ && count <= size_ - at);
        if (count != 0) std::memcpy(out_.data() + at, &value, count);
    }

    /// Moves everything from `at` on by `count` bytes; the caller patches the gap.
    void open_gap(std::size_t at, std::size_t count) {
        const std::size_t end = size_;
        VERIFY(at <= end);
        zeros(count);
        if (fits()) std::memmove(out_.data() + at + count, out_.data() + at, end - at);
    }

    /// The value that makes the bytes from `begin` to the end sum to zero, where it now stands as zero.
    [[nodiscard]] u8 checksum_from(std::size_t begin) const {
        if (!fits()) return 0;
        unsigned sum = 0;
        for (const u8 byte : written().subspan(begin)) sum += byte;
        return static_cast<u8>(0x100 - (sum & 0xff));
    }

    /// Bytes appended so far, stored or not.
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] bool fits() const { return size_ <= out_.size(); }
    /// Everything appended. Only when fits().
    [[nodiscard]] std::span<const u8> written() const {
        VERIFY(fits());
        return out_.first(size_);
    }

  private:
    [[nodiscard]] bool has_room(std::size_t count) const {
        return size_ <= out_.size() && count <= out_.size() - size_;
    }
    void store(const void* from, std::size_t count) {
        if (count != 0 && has_room(count)) std::memcpy(out_.data() + size_, from, count);
        size_ += count;
    }

    std::span<u8> out_;
    std::size_t size_ = 0;
};

}  // namespace mayfly
