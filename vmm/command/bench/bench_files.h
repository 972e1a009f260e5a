// SPDX-License-Identifier: Apache-2.0
// The files of `mayfly bench boot`: what it writes is nothing that its columns read or write.
//
// Thread: the main thread.
#pragma once

#include "vmm/command/bench/bench_options.h"

namespace mayfly {

/// Before anything is opened. Errors: Invalid, with both options and names.
Result<void> check_bench_files(const BenchArguments& arguments, const BenchPlan& plan);

}  // namespace mayfly
