// SPDX-License-Identifier: Apache-2.0
#include "vmm/bench/measure/session.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include <unistd.h>

#include <fmt/format.h>

#include "vmm/bench/measure/batch.h"
#include "vmm/bench/measure/exit_events.h"
#include "vmm/os/clock.h"
#include "vmm/os/text_file.h"

namespace mayfly {

namespace {

constexpr int kMayflyFailed = 125;
constexpr int kMayflyNotFound = 127;

/// QEMU's own failures end it with 1, as a guest's verdict 0 does through isa-debug-exit; only its own
/// failures print an error.
bool is_complaint_of_qemu(std::string_view text) {
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        if (line.starts_with("qemu") && line.find(": warning:") == std::string_view::npos) return true;
    }
    return false;
}

bool is_success(const Column& column, const Run& run) {
    if (run.end != RunEnd::Exited) return false;
    if (column.kind == Column::Kind::Qemu && run.status == 1 && is_complaint_of_qemu(run.error_tail))
        return false;
    return std::find(column.successes.begin(), column.successes.end(), run.status) != column.successes.end();
}

/// Whether a column whose first run failed in this way cannot be measured.
bool cannot_be_measured(const Column& column, const Run& run) {
    if (run.end == RunEnd::NotStarted || run.end == RunEnd::NoReport) return true;
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
        : plan_(plan), batches_(batches), on_progress_(on_progress), done_(plan.columns.size()) {
        result_.columns.resize(plan.columns.size());
        bare_every_ = std::max(1u, plan.runs / kBareRunsMax);
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
        // The load average still contains the timed runs.
        result_.load_after = read_text_file("/proc/loadavg", 64);
        if (goes_on()) TRY_VOID(count());
        result_.signal = batches_.signal();
        return std::move(result_);
    }

  private:
    /// Runs of each column.
    [[nodiscard]] u32 planned(RunKind kind) const {
        switch (kind) {
            case RunKind::WarmUp: return plan_.warmup * plan_.parallel;
            case RunKind::Timed: return plan_.runs;
            case RunKind::Counting: return std::min(plan_.runs, kCountingRounds);
            case RunKind::Bare: break;
        }
        return 0;
    }

    [[nodiscard]] bool goes_on() const {
        const auto is_over = [](const ColumnOutcome& outcome) { return outcome.is_given_up; };
        return batches_.signal() == 0 && !result_.columns.front().cannot_be_measured &&
               !std::all_of(result_.columns.begin(), result_.columns.end(), is_over);
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
        events_ = events ? &*events : nullptr;
        for (u32 round = 0; round < planned(RunKind::Counting) && goes_on(); ++round) {
            for (std::size_t column = 0; column < plan_.columns.size() && goes_on(); ++column)
                TRY_VOID(batch(column, RunKind::Counting, round, 1));
        }
        events_ = nullptr;
        forget_silent_tracepoint();
        return {};
    }

    /// KVM returns to the monitor, but its guest never exits: the count is meaningless. So is that of a
    /// command that does not use KVM.
    void forget_silent_tracepoint() {
        const auto is_silent = [](const Run& run) {
            return run.counts.kvm_exits == u64{0} && run.counts.kvm_returns.value_or(0) != 0;
        };
        result_.has_silent_exit_tracepoint = std::any_of(result_.runs.begin(), result_.runs.end(), is_silent);
        for (Run& run : result_.runs) {
            const bool is_unseen = plan_.columns[run.column].kind != Column::Kind::Mayfly &&
                                   run.counts.kvm_exits.value_or(0) == 0 && run.counts.kvm_returns == u64{0};
            if (is_unseen) run.counts.kvm_returns.reset();
            if (is_unseen || result_.has_silent_exit_tracepoint) run.counts.kvm_exits.reset();
        }
    }

    Result<void> prepare(const std::string& command) {
        if (command.empty()) return {};
        const Run run = TRY(batches_.prepare(command));
        if (run.end == RunEnd::Interrupted || (run.end == RunEnd::Exited && run.status == 0)) return {};
        std::string said = last_lines(run.error_tail);
        if (!said.empty()) said = ": " + said;
        return fail(Error::host(fmt::format("--prepare '{}': {}{}", command, describe_end(run), said))
                        .hint("append '|| true' if that does not matter"));
    }

    Result<void> batch(std::size_t column, RunKind kind, u32 round, u32 count) {
        ColumnOutcome& outcome = result_.columns[column];
        if (outcome.is_given_up) return {};
        TRY_VOID(prepare(plan_.columns[column].prepare));
        if (batches_.signal() != 0) return {};
        ::usleep(kPauseMs * 1000);
        const ExitEvents::Counts before = events_ != nullptr ? events_->read() : ExitEvents::Counts{};
        std::vector<Run> runs = TRY(batches_.run(column, kind, round, count));
        if (events_ != nullptr) {
            const ExitEvents::Counts after = events_->read();
            runs.front().counts.kvm_exits = after.exits - before.exits;
            runs.front().counts.kvm_returns = after.returns - before.returns;
        }
        u64 first_ns = ~u64{0};
        u64 last_ns = 0;
        const std::size_t known = result_.runs.size();
        for (Run& run : runs) {
            if (run.end == RunEnd::Interrupted) continue;
            first_ns = std::min(first_ns, run.exec_monotonic_ns);
            last_ns = std::max(last_ns, run.exec_monotonic_ns + run.exit_ns);
            judge(run);
            result_.runs.push_back(std::move(run));
        }
        if (!outcome.status && outcome.failures >= kFailuresMax) outcome.is_given_up = true;
        if (batches_.signal() != 0) return {};
        if (kind == RunKind::Timed) outcome.batches_ns += last_ns - std::min(first_ns, last_ns);
        done_[column][static_cast<std::size_t>(kind)] += count;
        on_progress_(progression(kind), std::span(result_.runs).subspan(known));
        return {};
    }

    [[nodiscard]] Progression progression(RunKind kind) const {
        Progression sum;
        for (std::size_t column = 0; column < done_.size(); ++column) {
            const u32 done = done_[column][static_cast<std::size_t>(kind)];
            sum.done += done;
            sum.total += result_.columns[column].is_given_up ? done : std::max(done, planned(kind));
        }
        return sum;
    }

    void judge(Run& run) {
        ColumnOutcome& outcome = result_.columns[run.column];
        const Column& column = plan_.columns[run.column];
        run.is_good = is_success(column, run);
        if (run.is_good && run.lacks_report) {
            run.end = RunEnd::NoReport;
            run.is_good = false;
        }
        if (run.is_good) {
            if (!outcome.status) outcome.status = run.status;
            return;
        }
        ++outcome.failures;
        const bool is_first = !outcome.status && outcome.failures == 1;
        if (!is_first || !cannot_be_measured(column, run)) return;
        outcome.cannot_be_measured = true;
        outcome.is_given_up = true;
    }

    const BenchPlan& plan_;
    BatchRunner& batches_;
    const OnProgress& on_progress_;
    BenchResult result_;
    u32 bare_every_ = 1;
    const ExitEvents* events_ = nullptr;    ///< while counting
    std::vector<std::array<u32, 4>> done_;  ///< by column and kind
};

}  // namespace

std::string describe_end(const Run& run) {
    switch (run.end) {
        case RunEnd::Exited: return fmt::format("status {}", run.status);
        case RunEnd::Signalled: return fmt::format("ended by signal {}", run.status);
        case RunEnd::TimedOut: return "no end within --timeout";
        case RunEnd::Interrupted: return "interrupted";
        case RunEnd::NoReport:
            return fmt::format("status {}, but no report: not mayfly, or an older version", run.status);
        case RunEnd::NotStarted: return fmt::format("could not be executed: {}", std::strerror(run.status));
    }
    return "";
}

std::string last_lines(std::string_view text) {
    constexpr std::size_t kBytesMax = 300;
    while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
    if (text.size() > kBytesMax) text.remove_prefix(text.size() - kBytesMax);
    std::string line(text);
    for (char& c : line) {
        if (c == '\n') c = '|';
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    }
    return line;
}

Result<BenchResult> run_session(const BenchPlan& plan, const OnProgress& on_progress) {
    BatchRunner batches = TRY(BatchRunner::create(plan));
    return Session(plan, batches, on_progress).run();
}

}  // namespace mayfly
