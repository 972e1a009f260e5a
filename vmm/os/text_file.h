// SPDX-License-Identifier: Apache-2.0
// Small text files of the kernel (sysfs, procfs): read whole, one open.
#pragma once

#include <string>

namespace mayfly {

/// The first `bytes_max` bytes without trailing white space, or empty where the file cannot be read.
[[nodiscard]] std::string read_text_file(const char* path, std::size_t bytes_max = 4096);

[[nodiscard]] bool path_exists(const char* path);

}  // namespace mayfly
