// SPDX-License-Identifier: Apache-2.0
// tsc_rate: how fast this processor's TSC runs, by one of the host's clocks. Against CLOCK_MONOTONIC_RAW it
// is the rate that the host's kernel uses, when the TSC is its clock. Thread: any.
#pragma once

#include <optional>
#include <time.h>

#include "vmm/error/ints.h"

namespace mayfly {

/// The TSC and a clock, read as close together as possible.
struct TscSample {
    u64 ticks = 0;
    u64 ns = 0;
    u64 doubt_ticks = 0;  ///< the clock was read at some point within so many ticks
};

[[nodiscard]] TscSample sample_tsc(clockid_t clock);

struct TscRate {
    double khz = 0;
    double doubt_ppm = 0;
};

/// Empty when no time went by.
[[nodiscard]] std::optional<TscRate> tsc_rate(const TscSample& from, const TscSample& to);

/// The rate since `from`, by the clock of that sample. Waits until enough time went by to be sure to some 20
/// ppm, which takes some milliseconds; empty where a fifth of a second does not suffice.
[[nodiscard]] std::optional<double> tsc_khz_since(const TscSample& from, clockid_t clock);

}  // namespace mayfly
