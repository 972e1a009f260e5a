// SPDX-License-Identifier: Apache-2.0
// Small text files of the kernel (sysfs, procfs): read whole, one open.
#pragma once

#include <string>
#include <string_view>

namespace mayfly {

/// The first `bytes_max` bytes without trailing white space, or empty where the file cannot be read.
[[nodiscard]] std::string read_text_file(const char* path, std::size_t bytes_max = 4096);

/// "always [madvise] never" is "madvise"; text without brackets comes back whole.
[[nodiscard]] std::string_view chosen_word(std::string_view text);

[[nodiscard]] bool path_exists(const char* path);

}  // namespace mayfly
