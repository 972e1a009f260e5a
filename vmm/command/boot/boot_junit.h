// SPDX-License-Identifier: Apache-2.0
// boot_junit: a boot as JUnit's test cases: the boot itself, the program of --exec, and each expression.
//
// Pure; any thread.
#pragma once

#include "vmm/command/boot/boot_outcome.h"
#include "vmm/watch/junit.h"

namespace mayfly {

struct BootTimes {
    i64 ended_wall_seconds = 0;
    u64 took_ns = 0;
};

/// `ending` is null for a boot that did not come to run, `watch` where nothing could be watched.
[[nodiscard]] JunitReport boot_junit(const BootConfig& config, const BootOutcome& outcome,
                                     const Ending* ending, const ConsoleWatch* watch, const BootTimes& times);

}  // namespace mayfly
