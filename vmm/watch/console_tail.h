// SPDX-License-Identifier: Apache-2.0
// ConsoleTail: the last of a console's bytes, in memory of a fixed size.
//
// Thread: one at a time.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/error/ints.h"

namespace mayfly {

class ConsoleTail {
  public:
    static constexpr std::size_t kBytes = KiB(16);

    void take(std::string_view bytes);
    /// The last lines, at most `lines_max`, as shown() makes them; the first may have lost its beginning.
    [[nodiscard]] std::vector<std::string> lines(std::size_t lines_max) const;

  private:
    std::array<char, kBytes> ring_;
    u64 taken_ = 0;
};

}  // namespace mayfly
