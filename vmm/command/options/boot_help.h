// SPDX-License-Identifier: Apache-2.0
// `mayfly boot --help` and `mayfly restore --help`.
#pragma once

#include <string>

namespace mayfly {

[[nodiscard]] std::string boot_help(std::size_t columns);
[[nodiscard]] std::string restore_help(std::size_t columns);

}  // namespace mayfly
