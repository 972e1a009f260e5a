// SPDX-License-Identifier: Apache-2.0
// The order of a benchmark: which run comes when, and which runs count.
//
// Rounds: every column once (or --parallel times at once), in an order that rotates from round to round, so
// that noise, and what one leaves behind in caches, hit all alike. After some of them mayfly runs once more
// without any report, which tells what its timeline costs. Then, untimed, counting runs for exits and memory.
// A column's --prepare runs before each batch of it. Thread: one.
#pragma once

#include <functional>
#include <span>

#include "vmm/bench/measure/plan.h"
#include "vmm/error/result.h"

namespace mayfly {

constexpr u32 kCountingRounds = 3;
constexpr u32 kBareRunsMax = 10;
/// Between batches, for what the kernel still does for the machine before: it frees one in the background.
constexpr u64 kPauseMs = 5;

/// A column without a good run is given up after so many.
constexpr u32 kFailuresMax = 3;

/// How many runs of one kind there were, all columns together, of how many that there are to be.
struct Progression {
    u32 done = 0;
    u32 total = 0;  ///< less those that a column which was given up would have had
};

/// Called after each batch with its runs, which are of one kind and not none.
using OnProgress = std::function<void(const Progression& progression, std::span<const Run> batch)>;

/// Errors: Os, when processes cannot be started; Host, when a --prepare fails. Failed runs are part of the
/// result.
Result<BenchResult> run_session(const BenchPlan& plan, const OnProgress& on_progress);

}  // namespace mayfly
