// SPDX-License-Identifier: Apache-2.0
// `mayfly bench boot --help`.
#pragma once

#include <string>

namespace mayfly {

[[nodiscard]] std::string bench_help(std::size_t columns);

}  // namespace mayfly
