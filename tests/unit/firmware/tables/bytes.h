// SPDX-License-Identifier: Apache-2.0
// Expected bytes, written as specifications write them: little-endian fields one after the other.
#pragma once

#include <string_view>
#include <vector>

#include "vmm/error/ints.h"

namespace mayfly::test {

class Bytes {
  public:
    Bytes() = default;
    Bytes(std::initializer_list<u8> raw) : bytes_(raw) {}

    Bytes& b(u64 value) { return le(value, 1); }
    Bytes& w(u64 value) { return le(value, 2); }
    Bytes& d(u64 value) { return le(value, 4); }
    Bytes& q(u64 value) { return le(value, 8); }
    Bytes& s(std::string_view text) {
        bytes_.insert(bytes_.end(), text.begin(), text.end());
        return *this;
    }
    Bytes& zeros(std::size_t count) {
        bytes_.resize(bytes_.size() + count);
        return *this;
    }
    Bytes& add(const Bytes& other) {
        bytes_.insert(bytes_.end(), other.bytes_.begin(), other.bytes_.end());
        return *this;
    }
    /// Overwrites fields of a structure that is mostly zero.
    Bytes& at(std::size_t offset, const Bytes& field) {
        for (std::size_t i = 0; i < field.size(); ++i) bytes_.at(offset + i) = field.bytes_[i];
        return *this;
    }

    [[nodiscard]] std::size_t size() const { return bytes_.size(); }
    [[nodiscard]] const std::vector<u8>& get() const { return bytes_; }

  private:
    Bytes& le(u64 value, int count) {
        for (int i = 0; i < count; ++i) bytes_.push_back(static_cast<u8>(value >> (8 * i)));
        return *this;
    }

    std::vector<u8> bytes_;
};

inline u8 sum_of(const std::vector<u8>& bytes) {
    unsigned sum = 0;
    for (const u8 byte : bytes) sum += byte;
    return static_cast<u8>(sum);
}

}  // namespace mayfly::test
