// SPDX-License-Identifier: Apache-2.0
// Processes that misbehave: floods, and ends that are hard to notice.
#include "vmm/bench/measure/batch.h"

#include <csignal>

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

BenchPlan shell_plan(const char* script, u64 timeout_ms) {
    BenchPlan plan;
    plan.columns.push_back({Column::Kind::Command, "sh", "/bin/sh", {"sh", "-c", script}});
    plan.timeout_ms = timeout_ms;
    return plan;
}

Run only_run(const BenchPlan& plan) {
    BatchRunner batches = BatchRunner::create(plan).value();
    std::vector<Run> runs = batches.run(0, RunKind::Timed, 0, 1).value();
    REQUIRE(runs.size() == 1);
    return std::move(runs.front());
}

}  // namespace

// Without a limit on the bytes read at a time, a pipe that fills faster than it is read would hang these: the
// second because its lines are matched, the first where writers are faster than read(2).
TEST_CASE("a process that floods stderr is ended at its timeout", "[batch]") {
    // Several writers, so that one of them is at work while we read.
    const Run run = only_run(shell_plan("(yes & yes & yes & yes) >&2; wait; sleep 100", 300));
    CHECK(run.end == RunEnd::TimedOut);
    CHECK(run.error_tail.size() <= 2048);
}

TEST_CASE("a process that floods the console is ended at its timeout", "[batch]") {
    BenchPlan plan = shell_plan("yes & yes & yes & yes", 300);
    for (const char* mark : {"a", "b", "c", "d"}) plan.marks.push_back(ConsoleMark::parse(mark).value());
    CHECK(only_run(plan).end == RunEnd::TimedOut);
}

TEST_CASE("the last words of a process that has ended are kept", "[batch]") {
    const Run run = only_run(shell_plan("head -c 60000 /dev/zero >&2; echo last words >&2; exit 3", 60'000));
    CHECK(run.end == RunEnd::Exited);
    CHECK(run.status == 3);
    CHECK(run.error_tail.ends_with("last words\n"));
}

TEST_CASE("signals are caught while runs go on, and no longer", "[batch]") {
    const BenchPlan plan = shell_plan("sleep 100", 60'000);
    const auto is_blocked = [] {
        sigset_t mask;
        ::sigprocmask(SIG_SETMASK, nullptr, &mask);
        return ::sigismember(&mask, SIGTERM) == 1;
    };
    {
        BatchRunner batches = BatchRunner::create(plan).value();
        CHECK(is_blocked());
        ::raise(SIGTERM);
        CHECK(batches.run(0, RunKind::Timed, 0, 1).value().front().end == RunEnd::Interrupted);
        CHECK(batches.signal() == SIGTERM);
        ::raise(SIGTERM);  // too late, and harmless
    }
    CHECK_FALSE(is_blocked());
}
