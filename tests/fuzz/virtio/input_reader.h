// SPDX-License-Identifier: Apache-2.0
// InputReader: takes values off the front of a fuzzer's input; past its end everything is 0.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>

#include "vmm/error/ints.h"

namespace mayfly {

class InputReader {
  public:
    explicit InputReader(std::span<const u8> bytes) : bytes_(bytes) {}

    [[nodiscard]] bool is_empty() const { return bytes_.empty(); }

    template <typename T>
    [[nodiscard]] T take() {
        T value{};
        const std::size_t size = std::min(sizeof(T), bytes_.size());
        if (size != 0) std::memcpy(&value, bytes_.data(), size);
        bytes_ = bytes_.subspan(size);
        return value;
    }

  private:
    std::span<const u8> bytes_;
};

}  // namespace mayfly
