// SPDX-License-Identifier: Apache-2.0
// The order of a benchmark: which run comes when, and which runs count.
//
// Rounds: every column once (or --parallel times at once), in an order that rotates from round to round, so
// that noise, and what one leaves behind in caches, hit all alike. After some of them mayfly runs once more
// without any report, which tells what its timeline costs. Then, untimed, counting runs for exits and memory.
// Thread: one.
#pragma once

#include <functional>

#include "vmm/bench/plan.h"
#include "vmm/error/result.h"

namespace mayfly {

constexpr u32 kCountingRounds = 3;
constexpr u32 kBareRunsMax = 10;
/// Between batches, for what the kernel still does for the machine before: it frees one in the background.
constexpr u64 kPauseMs = 5;

/// Called after each batch: how many of how many, and the last run.
using OnProgress = std::function<void(u32 done, u32 total, const Run& last)>;

/// Errors: Os, when processes cannot be started. Failed runs are part of the result.
Result<BenchResult> run_session(const BenchPlan& plan, const OnProgress& on_progress);

}  // namespace mayfly
