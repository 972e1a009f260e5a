// SPDX-License-Identifier: Apache-2.0
// Host clocks.
#pragma once

#include "vmm/error/ints.h"

namespace mayfly {

/// CLOCK_MONOTONIC, in nanoseconds.
[[nodiscard]] u64 monotonic_ns();

/// CPU time the calling thread has used, in nanoseconds.
[[nodiscard]] u64 thread_cpu_ns();

/// Wall-clock seconds since the Unix epoch, UTC.
[[nodiscard]] i64 wall_seconds();

}  // namespace mayfly
