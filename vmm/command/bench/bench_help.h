// SPDX-License-Identifier: Apache-2.0
// `mayfly bench boot --help` and `mayfly bench merge --help`.
#pragma once

#include <string>

namespace mayfly {

[[nodiscard]] std::string bench_help(std::size_t columns);
[[nodiscard]] std::string merge_help(std::size_t columns);

}  // namespace mayfly
