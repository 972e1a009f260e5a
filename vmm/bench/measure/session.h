// SPDX-License-Identifier: Apache-2.0
// The order of a benchmark: which run comes when, and which runs count.
//
// Rounds: every column once (or --parallel times at once), in an order that rotates from round to round, so
// that noise, and the caches that one column leaves behind, affect all alike. After some of them mayfly runs
// once more without any report, which shows the cost of its timeline. Then, untimed, counting runs for exits
// and memory. A column's --prepare runs before each batch of it. Thread: one.
#pragma once

#include <functional>
#include <span>

#include "vmm/bench/measure/plan.h"
#include "vmm/error/result.h"

namespace mayfly {

constexpr u32 kCountingRounds = 3;
constexpr u32 kBareRunsMax = 10;
/// A pause between batches: the kernel frees the previous machine in the background.
constexpr u64 kPauseMs = 5;

/// A column without a good run is given up after so many.
constexpr u32 kFailuresMax = 3;

/// The number of finished runs of one kind, all columns together, and their total.
struct Progression {
    u32 done = 0;
    u32 total = 0;  ///< without the runs of columns that were given up
};

/// Called after each batch with its runs, at least one and all of one kind.
using OnProgress = std::function<void(const Progression& progression, std::span<const Run> batch)>;

/// Errors: Os, when processes cannot be started; Host, when a --prepare fails. Failed runs are part of the
/// result.
Result<BenchResult> run_session(const BenchPlan& plan, const OnProgress& on_progress);

}  // namespace mayfly
