// SPDX-License-Identifier: Apache-2.0
// `mayfly boot --help`.
#pragma once

#include <string>

namespace mayfly {

[[nodiscard]] std::string boot_help(std::size_t columns);

}  // namespace mayfly
