// SPDX-License-Identifier: Apache-2.0
// Which runs count, when a column is given up, the lines of progress, and preparations.
#include "vmm/bench/measure/session.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <fstream>

#include <unistd.h>

#include <catch2/catch.hpp>

#include "vmm/bench/results/progress.h"

using namespace mayfly;

namespace {

Column shell(const std::string& script) {
    return {Column::Kind::Command, script, "/bin/sh", {"sh", "-c", script}};
}

BenchPlan plan_of(std::vector<Column> columns, u32 runs) {
    BenchPlan plan;
    plan.columns = std::move(columns);
    plan.runs = runs;
    return plan;
}

BenchResult result_of(const BenchPlan& plan) {
    return run_session(plan, [](const Progression&, std::span<const Run>) {}).value();
}

std::size_t runs_of(const BenchResult& result, std::size_t column) {
    const auto is_its = [&](const Run& run) { return run.column == column; };
    return static_cast<std::size_t>(std::count_if(result.runs.begin(), result.runs.end(), is_its));
}

class Scratch {
  public:
    Scratch() { REQUIRE(::mkdtemp(path_.data()) != nullptr); }
    ~Scratch() {
        ::unlink(file().c_str());
        ::rmdir(path_.c_str());
    }
    [[nodiscard]] std::string file() const { return path_ + "/file"; }
    [[nodiscard]] std::string text() const {
        std::ifstream stream(file());
        return {std::istreambuf_iterator<char>(stream), {}};
    }

  private:
    std::string path_ = "/tmp/mayfly-session-XXXXXX";
};

}  // namespace

TEST_CASE("a status other than the expected one is a failure, even if it is always the same", "[session]") {
    BenchPlan plan = plan_of({shell("exit 0"), shell("exit 1"), shell("exit 1")}, 2);
    plan.columns[2].successes = {1};
    const BenchResult result = result_of(plan);
    CHECK(result.columns[0].status == 0);
    CHECK(result.columns[0].failures == 0);
    CHECK_FALSE(result.columns[1].status);
    CHECK(result.columns[1].failures > 0);
    CHECK(result.columns[2].status == 1);
    CHECK(result.columns[2].failures == 0);
}

TEST_CASE("a column without a good run is given up after three, and the others go on", "[session]") {
    const BenchResult result = result_of(plan_of({shell("exit 1"), shell("exit 0")}, 10));
    CHECK(result.columns[0].is_given_up);
    CHECK_FALSE(result.columns[0].cannot_be_measured);
    CHECK(runs_of(result, 0) == 3);
    CHECK(runs_of(result, 1) == 14);
    CHECK(runs_of(result_of(plan_of({shell("exit 1")}, 10)), 0) == 3);
}

TEST_CASE("a column that has succeeded is not given up", "[session]") {
    const Scratch scratch;
    const std::string script = "[ -e " + scratch.file() + " ] && exit 2; touch " + scratch.file();
    const BenchResult result = result_of(plan_of({shell(script)}, 5));
    CHECK(result.columns[0].status == 0);
    CHECK_FALSE(result.columns[0].is_given_up);
    CHECK(result.columns[0].failures == 13);
}

TEST_CASE("QEMU's own failure is told from a guest's verdict in every run", "[session]") {
    const Scratch scratch;
    const std::string file = scratch.file();
    Column column =
        shell("[ -e " + file + " ] && echo 'qemu-system-x86_64: no memory' >&2; touch " + file + "; exit 1");
    column.kind = Column::Kind::Qemu;
    column.successes = {1, 0};
    const BenchResult result = result_of(plan_of({column}, 2));
    CHECK(result.columns[0].status == 1);
    CHECK(result.columns[0].failures == 6);
}

TEST_CASE("a program that writes no report is not mayfly, however well it ends", "[session]") {
    const BenchPlan plan = plan_of({{Column::Kind::Mayfly, "true", "/bin/true", {"true", "boot"}}}, 5);
    const BenchResult result = result_of(plan);
    CHECK(result.columns[0].cannot_be_measured);
    REQUIRE(result.runs.size() == 1);
    CHECK(describe_end(result.runs[0]).find("no report") != std::string::npos);
    CHECK_FALSE(result.runs[0].is_good);
}

TEST_CASE("progress counts the timed runs of all columns, without dropped ones", "[session]") {
    BenchPlan plan = plan_of({shell("exit 0"), shell("exit 0"), shell("exit 1")}, 10);
    plan.warmup = 2;
    plan.parallel = 4;
    std::array<Progression, 4> last{};
    std::array<u32, 4> seen{};
    u32 first_total = 0;
    const auto on_progress = [&](const Progression& progression, std::span<const Run> batch) {
        REQUIRE_FALSE(batch.empty());
        const auto kind = static_cast<std::size_t>(batch.front().kind);
        seen[kind] += static_cast<u32>(batch.size());
        CHECK(progression.done == seen[kind]);
        CHECK(progression.done <= progression.total);
        last[kind] = progression;
        if (first_total == 0) first_total = progression.total;
    };
    REQUIRE(run_session(plan, on_progress));
    CHECK(first_total == 24);
    CHECK(last[static_cast<std::size_t>(RunKind::Timed)].total == 20);
    CHECK(last[static_cast<std::size_t>(RunKind::Timed)].done == 20);
    CHECK(last[static_cast<std::size_t>(RunKind::Counting)].done == 6);
    CHECK(Progress::describe({120, 300}, RunKind::Timed, 2'000'000'000) ==
          " 40 %, 120 of 300 runs, about 3 s left");
    CHECK(Progress::describe({1, 2}, RunKind::WarmUp, 0) == "warm-up 1 of 2");
}

TEST_CASE("a preparation runs before each batch, and does not count as a run", "[session]") {
    const Scratch scratch;
    BenchPlan plan = plan_of({shell("echo r >> " + scratch.file()), shell("true")}, 2);
    plan.columns[0].prepare = "printf p >> " + scratch.file();
    const BenchResult result = result_of(plan);
    // One warm-up, two timed and two bare ones, two that count.
    CHECK(scratch.text() == "pr\npr\npr\npr\npr\npr\npr\n");
    CHECK(result.runs.size() == 12);
}

TEST_CASE("a failing preparation stops the benchmark with its output", "[session]") {
    BenchPlan plan = plan_of({shell("true"), shell("true")}, 2);
    plan.columns[1].prepare = "echo no disk >&2; exit 4";
    const auto ignore = [](const Progression&, std::span<const Run>) {};
    const Result<BenchResult> result = run_session(plan, ignore);
    REQUIRE_FALSE(result);
    CHECK(result.error().message().find("--prepare 'echo no disk >&2; exit 4': status 4: no disk") == 0);
    plan.columns[1].prepare = "sleep 100";
    plan.timeout_ms = 300;
    CHECK(run_session(plan, ignore).error().message().find("no end within --timeout") != std::string::npos);
}

TEST_CASE("processes that a preparation leaves running live on", "[session]") {
    const Scratch scratch;
    BenchPlan plan = plan_of({shell("grep -q sleep /proc/$(cat " + scratch.file() + ")/cmdline")}, 1);
    plan.warmup = 0;
    // A process that was killed may be a zombie yet, with an empty command line.
    plan.columns[0].prepare =
        "[ -e " + scratch.file() + " ] || { sleep 100 2>&- & echo $! > " + scratch.file() + "; }";
    const BenchResult result = result_of(plan);
    CHECK(result.columns[0].failures == 0);
    const int pid = std::atoi(scratch.text().c_str());
    REQUIRE(pid > 1);
    ::kill(pid, SIGKILL);
}
