// SPDX-License-Identifier: Apache-2.0
// What `mayfly bench boot` puts beside each other.
//
// mayfly with BOOT-ARGS is the first; behind it, in the order of the command line: what --against names, this
// program with the words of a --vs, the program of a --vs-binary with BOOT-ARGS. The last two differ from the
// first in one thing, and are not combined with each other. Each of these is one column, or one for each
// combination of the values of those parameters that its words or its --prepare mention.
#pragma once

#include <vector>

#include "vmm/bench/measure/plan.h"
#include "vmm/command/bench/bench_options.h"
#include "vmm/error/result.h"

namespace mayfly {

/// The columns but not yet QEMU's kernel when that is a built-in guest. Errors: Invalid, with the option, the
/// value and the limit; NotFound for a built-in guest that does not exist.
Result<std::vector<Column>> bench_columns(const BenchArguments& arguments);

}  // namespace mayfly
