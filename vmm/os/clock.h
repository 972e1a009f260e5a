// SPDX-License-Identifier: Apache-2.0
// Host clocks.
#pragma once

#include "vmm/error/ints.h"

namespace mayfly {

/// CLOCK_MONOTONIC, in nanoseconds.
[[nodiscard]] u64 monotonic_ns();

/// CPU time the calling thread has used, in nanoseconds.
[[nodiscard]] u64 thread_cpu_ns();

/// Wall-clock time since the Unix epoch, UTC.
[[nodiscard]] i64 wall_ns();
[[nodiscard]] i64 wall_seconds();
/// How long ago that moment was, by the wall clock; 0 for a future one.
[[nodiscard]] u64 ns_since_wall(i64 then_ns);

/// Wall-clock seconds as a date and a time of day, UTC. The C library's gmtime would bring its time zones,
/// and with them its scanf, a hundred kilobytes.
struct UtcTime {
    int year = 1970;
    unsigned month = 1;  ///< 1-12
    unsigned day = 1;    ///< 1-31
    unsigned hour = 0;
    unsigned minute = 0;
    unsigned second = 0;
};
[[nodiscard]] UtcTime utc_time(i64 seconds_since_epoch);

}  // namespace mayfly
