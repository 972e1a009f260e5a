// SPDX-License-Identifier: Apache-2.0
// The notes to the figures: how they were measured, which runs failed, why to distrust them.
#include <algorithm>
#include <charconv>

#include <unistd.h>

#include <fmt/format.h>

#include "vmm/bench/measure/session.h"
#include "vmm/bench/results/figures.h"

namespace mayfly {

namespace {

constexpr std::size_t kFailuresTold = 3;
constexpr int kCrashed = 126;

class Notes {
  public:
    Notes(const BenchPlan& plan, const BenchResult& result, Figures& figures)
        : plan_(plan), result_(result), figures_(figures) {}

    void add() {
        note("percentiles are nearest-rank: each is a value that was measured" +
             std::string(plan_.runs < 100 ? "; of fewer than 100 runs p99 is the maximum" : "") +
             "; σ is that of a sample");
        note(fmt::format(
            "{} warm-up and {} timed runs of each column, interleaved in a rotating order, each a "
            "fresh exec stamped just before execve(2); end as its pidfd tells",
            plan_.warmup, plan_.runs));
        if (plan_.parallel > 1) add_parallel();
        for (const Column& column : plan_.columns) {
            if (!column.prepare.empty())
                note(
                    fmt::format("before each batch of {}, untimed: sh -c '{}'", column.name, column.prepare));
        }
        note(plan_.marks.empty()
                 ? "the console goes to /dev/null"
                 : "console marks are stamped when this program has read the line from a pipe");
        note(
            fmt::format("memory and exits come from {} further runs that are not timed; memory is what the "
                        "process touched, guest memory included",
                        std::min(plan_.runs, kCountingRounds)));
        note(
            "the kernel knows the sum of user and system CPU exactly, and their shares by its clock's ticks");
        add_timeline_cost();
        if (!result_.why_no_tracepoints.empty())
            note("KVM's tracepoints were not counted: " + result_.why_no_tracepoints);
        for (std::size_t column = 0; column < plan_.columns.size(); ++column) add_outcome(column);
        if (result_.signal != 0)
            warn(fmt::format(
                "interrupted by signal {} after {} timed runs of {}: only what had been measured until then",
                result_.signal, sorted_exits(result_, 0).size(), plan_.columns[0].name));
        warn_if_busy();
    }

  private:
    void warn(std::string text) { figures_.warnings.push_back(std::move(text)); }
    void note(std::string text) { figures_.notes.push_back(std::move(text)); }

    /// The load average of the last minute, before we added to it.
    void warn_if_busy() {
        // "2.05 1.55 1.45 1/84 17034"; whole numbers suffice.
        const std::string load = result_.load_before.substr(0, result_.load_before.find(' '));
        u64 whole = 0;
        std::from_chars(load.data(), load.data() + load.size(), whole);
        const auto processors = static_cast<u64>(::sysconf(_SC_NPROCESSORS_ONLN));
        if (whole != 0 && whole * 2 >= processors)
            warn(fmt::format(
                "the host was busy (load {} on {} processors): times contain waits for one; trust minima "
                "and CPU time",
                load, processors));
    }

    void add_parallel() {
        std::string text =
            fmt::format("{} at once: they start together, the next ones when all have ended", plan_.parallel);
        for (std::size_t column = 0; column < plan_.columns.size(); ++column) {
            const std::size_t runs = sorted_exits(result_, column).size();
            const u64 took_ns = result_.columns[column].batches_ns;
            if (took_ns == 0 || runs == 0 || has_failed(result_, column)) continue;
            text += fmt::format("; {} did {:.1f} {} a second", plan_.columns[column].name,
                                static_cast<double>(runs) * 1e9 / static_cast<double>(took_ns),
                                column == 0 ? "boots" : "runs");
        }
        note(std::move(text));
    }

    /// Each bare run beside the timed one of the same round.
    void add_timeline_cost() {
        std::vector<i64> differences;
        for (const Run& bare : result_.runs) {
            if (bare.kind != RunKind::Bare || !bare.is_good) continue;
            for (const Run& run : result_.runs) {
                if (run.kind != RunKind::Timed || run.column != 0 || run.round != bare.round || !run.is_good)
                    continue;
                differences.push_back(static_cast<i64>(run.exit_ns) - static_cast<i64>(bare.exit_ns));
            }
        }
        if (differences.empty()) return;
        std::sort(differences.begin(), differences.end());
        const i64 median = differences[(differences.size() - 1) / 2];
        note(fmt::format(
            "timed runs of mayfly write their timeline; beside {} runs without it that changed exec "
            "-> exit by {}{} (median, range {:.0f} to {:.0f} us)",
            differences.size(), median < 0 ? "-" : "+",
            print_figure(static_cast<u64>(median < 0 ? -median : median), Unit::Nanoseconds),
            static_cast<double>(differences.front()) / 1e3, static_cast<double>(differences.back()) / 1e3));
    }

    void add_outcome(std::size_t column) {
        const ColumnOutcome& outcome = result_.columns[column];
        const std::string& name = plan_.columns[column].name;
        if (outcome.status.value_or(0) != 0)
            note(fmt::format("{} ended with status {}, as expected", name, *outcome.status));
        if (!has_failed(result_, column)) return;
        const auto is_ours = [&](const Run& run) { return run.column == column; };
        warn(fmt::format("{} FAILED: {} of its {} runs, which are in no figure{}", name, outcome.failures,
                         std::count_if(result_.runs.begin(), result_.runs.end(), is_ours),
                         outcome.cannot_be_measured ? "; it cannot run and was given up after the first"
                         : outcome.is_given_up      ? "; none was good, and it was given up"
                                                    : ""));
        std::size_t told = 0;
        for (const Run& run : result_.runs) {
            if (!is_ours(run) || run.is_good || told == kFailuresTold) continue;
            warn(fmt::format("{}, round {}: {}{}{}{}", name, run.round + 1, describe_end(run),
                             run.error_tail.empty() ? "" : ": ", last_lines(run.error_tail),
                             told == 0 ? advice(column, run) : ""));
            ++told;
        }
    }

    [[nodiscard]] std::string advice(std::size_t column, const Run& run) const {
        const ColumnOutcome& outcome = result_.columns[column];
        if (run.end != RunEnd::Exited || outcome.status || outcome.cannot_be_measured) return {};
        if (plan_.columns[column].kind == Column::Kind::Mayfly && run.status == kCrashed)
            return " (the guest crashes)";
        return fmt::format(" (if that is as it should be: --expect-status {})", run.status);
    }

    const BenchPlan& plan_;
    const BenchResult& result_;
    Figures& figures_;
};

}  // namespace

void add_notes(const BenchPlan& plan, const BenchResult& result, Figures& figures) {
    Notes(plan, result, figures).add();
}

}  // namespace mayfly
