// SPDX-License-Identifier: Apache-2.0
#include "vmm/bench/session.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include <unistd.h>

#include <fmt/format.h>

#include "vmm/bench/batch.h"
#include "vmm/bench/exit_events.h"
#include "vmm/os/clock.h"
#include "vmm/os/text_file.h"

namespace mayfly {

namespace {

constexpr int kMayflyFailed = 125;
constexpr int kMayflyNotFound = 127;

/// QEMU's own failures end it with 1, as a guest's verdict 0 does through isa-debug-exit; only then it
/// complains.
bool is_complaint_of_qemu(std::string_view text) {
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        if (line.starts_with("qemu") && line.find(": warning:") == std::string_view::npos) return true;
    }
    return false;
}

/// Whether a column whose first run ended so has nothing to measure.
bool is_hopeless(const Column& column, const Run& run) {
    if (run.end == RunEnd::NotStarted) return true;
    if (run.end != RunEnd::Exited) return false;
    switch (column.kind) {
        case Column::Kind::Mayfly: return run.status == kMayflyFailed || run.status == kMayflyNotFound;
        case Column::Kind::Qemu: return run.status == 1 && is_complaint_of_qemu(run.error_tail);
        case Column::Kind::Command: break;
    }
    return false;
}

class Session {
  public:
    Session(const BenchPlan& plan, BatchRunner& batches, const OnProgress& on_progress)
        : plan_(plan), batches_(batches), on_progress_(on_progress) {
        result_.columns.resize(plan.columns.size());
        bare_every_ = std::max(1u, plan.runs / kBareRunsMax);
        const auto columns = static_cast<u32>(plan.columns.size());
        const u32 rounds = (plan.runs + plan.parallel - 1) / plan.parallel;
        total_ = columns * (plan.warmup + rounds + counting_rounds()) +
                 (plan.parallel == 1 ? (plan.runs + bare_every_ - 1) / bare_every_ : 0);
    }

    Result<BenchResult> run() {
        result_.load_before = read_text_file("/proc/loadavg", 64);
        for (u32 round = 0; round < plan_.warmup && goes_on(); ++round)
            TRY_VOID(round_of(RunKind::WarmUp, round, plan_.parallel));
        u32 left = plan_.runs;
        for (u32 round = 0; left != 0 && goes_on(); ++round) {
            const u32 count = std::min(left, plan_.parallel);
            TRY_VOID(round_of(RunKind::Timed, round, count));
            if (plan_.parallel == 1 && round % bare_every_ == 0 && goes_on())
                TRY_VOID(batch(0, RunKind::Bare, round, 1));
            left -= count;
        }
        // The tail of the load belongs to what was timed.
        result_.load_after = read_text_file("/proc/loadavg", 64);
        if (goes_on()) TRY_VOID(count());
        result_.signal = batches_.signal();
        return std::move(result_);
    }

  private:
    [[nodiscard]] u32 counting_rounds() const { return std::min(plan_.runs, kCountingRounds); }
    [[nodiscard]] bool goes_on() const {
        return batches_.signal() == 0 && !result_.columns.front().is_given_up;
    }

    Result<void> round_of(RunKind kind, u32 round, u32 count) {
        const std::size_t columns = plan_.columns.size();
        for (std::size_t i = 0; i < columns && goes_on(); ++i)
            TRY_VOID(batch((i + round) % columns, kind, round, count));
        return {};
    }

    Result<void> count() {
        Result<ExitEvents> events = ExitEvents::open();
        if (!events) result_.why_no_tracepoints = events.error().message();
        for (u32 round = 0; round < counting_rounds() && goes_on(); ++round) {
            for (std::size_t column = 0; column < plan_.columns.size() && goes_on(); ++column) {
                const ExitEvents::Counts before = events ? events->read() : ExitEvents::Counts{};
                const std::size_t known = result_.runs.size();
                TRY_VOID(batch(column, RunKind::Counting, round, 1));
                if (!events || result_.runs.size() == known) continue;
                const ExitEvents::Counts after = events->read();
                result_.runs.back().counts.kvm_exits = after.exits - before.exits;
                result_.runs.back().counts.kvm_returns = after.returns - before.returns;
            }
        }
        forget_silent_tracepoint();
        return {};
    }

    /// A monitor that KVM returns to, but no guest that ever exits: the count says nothing.
    void forget_silent_tracepoint() {
        const auto is_silent = [](const Run& run) {
            return run.counts.kvm_exits == u64{0} && run.counts.kvm_returns.value_or(0) != 0;
        };
        result_.has_silent_exit_tracepoint = std::any_of(result_.runs.begin(), result_.runs.end(), is_silent);
        if (!result_.has_silent_exit_tracepoint) return;
        for (Run& run : result_.runs) run.counts.kvm_exits.reset();
    }

    Result<void> batch(std::size_t column, RunKind kind, u32 round, u32 count) {
        if (result_.columns[column].is_given_up) return {};
        ::usleep(kPauseMs * 1000);
        std::vector<Run> runs = TRY(batches_.run(column, kind, round, count));
        u64 first_ns = ~u64{0};
        u64 last_ns = 0;
        for (Run& run : runs) {
            if (run.end == RunEnd::Interrupted) continue;
            first_ns = std::min(first_ns, run.exec_monotonic_ns);
            last_ns = std::max(last_ns, run.exec_monotonic_ns + run.exit_ns);
            judge(run);
            result_.runs.push_back(std::move(run));
        }
        if (batches_.signal() != 0) return {};
        if (column == 0 && kind == RunKind::Timed)
            result_.batches_ns += last_ns - std::min(first_ns, last_ns);
        ++done_;
        on_progress_(done_, std::max(done_, total_), result_.runs.back());
        return {};
    }

    void judge(Run& run) {
        ColumnOutcome& outcome = result_.columns[run.column];
        const bool is_first = !outcome.status && outcome.failures == 0;
        if (is_first && is_hopeless(plan_.columns[run.column], run)) {
            outcome.is_given_up = true;
        } else if (!outcome.status && run.end == RunEnd::Exited) {
            outcome.status = run.status;
        }
        run.is_good = run.end == RunEnd::Exited && run.status == outcome.status;
        if (!run.is_good) ++outcome.failures;
    }

    const BenchPlan& plan_;
    BatchRunner& batches_;
    const OnProgress& on_progress_;
    BenchResult result_;
    u32 bare_every_ = 1;
    u32 total_ = 0;
    u32 done_ = 0;
};

}  // namespace

std::string describe_end(const Run& run) {
    switch (run.end) {
        case RunEnd::Exited: return fmt::format("status {}", run.status);
        case RunEnd::Signalled: return fmt::format("ended by signal {}", run.status);
        case RunEnd::TimedOut: return "no end within --timeout";
        case RunEnd::Interrupted: return "interrupted";
        case RunEnd::NotStarted: return fmt::format("could not be executed: {}", std::strerror(run.status));
    }
    return "";
}

Result<BenchResult> run_session(const BenchPlan& plan, const OnProgress& on_progress) {
    BatchRunner batches = TRY(BatchRunner::create(plan));
    return Session(plan, batches, on_progress).run();
}

}  // namespace mayfly
