// SPDX-License-Identifier: Apache-2.0
#include "vmm/bench/figures.h"

#include <algorithm>
#include <charconv>
#include <functional>

#include <unistd.h>

#include <fmt/format.h>

#include "vmm/bench/session.h"

namespace mayfly {

namespace {

constexpr std::size_t kFailuresTold = 3;
constexpr int kCrashed = 126;

using Value = std::function<std::optional<u64>(const Run&)>;

std::vector<u64> values(const BenchResult& result, std::size_t column, RunKind kind, const Value& value) {
    std::vector<u64> list;
    for (const Run& run : result.runs) {
        if (run.column != column || run.kind != kind || !run.is_good) continue;
        if (const std::optional<u64> one = value(run)) list.push_back(*one);
    }
    return list;
}

std::optional<u64> moment_of(const Run& run, std::string_view name) {
    for (const Moment& moment : run.moments) {
        if (moment.name == name) return moment.at_ns;
    }
    return std::nullopt;
}

bool is_headline(std::string_view name) {
    return name == "main" || name == kFirstInstruction || name.starts_with("guest mark") ||
           name.starts_with("console: ");
}

struct MomentName {
    std::string name;
    u64 median_ns;
};

/// Every moment that any good timed run had, in the order in which they are usually reached.
std::vector<MomentName> moment_names(const BenchPlan& plan, const BenchResult& result) {
    std::vector<MomentName> names;
    for (std::size_t column = 0; column < plan.columns.size(); ++column) {
        for (const Run& run : result.runs) {
            if (run.column != column || run.kind != RunKind::Timed || !run.is_good) continue;
            for (const Moment& moment : run.moments) {
                const auto is_same = [&](const MomentName& known) { return known.name == moment.name; };
                if (std::any_of(names.begin(), names.end(), is_same)) continue;
                names.push_back({moment.name, percentile(sorted_moments(result, column, moment.name), 50)});
            }
        }
    }
    sort_small(names, [](const MomentName& name) { return name.median_ns; });
    return names;
}

class Builder {
  public:
    Builder(const BenchPlan& plan, const BenchResult& result) : plan_(plan), result_(result) {}

    Figures build() {
        add_times();
        add("user_cpu", "user CPU, guest included", Unit::Nanoseconds, RunKind::Timed,
            [](const Run& run) { return run.user_ns; });
        add("system_cpu", "system CPU", Unit::Nanoseconds, RunKind::Timed,
            [](const Run& run) { return run.system_ns; });
        add("cpu", "CPU, both", Unit::Nanoseconds, RunKind::Timed,
            [](const Run& run) { return run.user_ns + run.system_ns; });
        add("voluntary_switches", "voluntary switches", Unit::Count, RunKind::Timed,
            [](const Run& run) { return run.waits; });
        add("involuntary_switches", "involuntary switches", Unit::Count, RunKind::Timed,
            [](const Run& run) { return run.preemptions; });
        add("peak_memory_kib", "peak memory", Unit::Kibibytes, RunKind::Counting,
            [](const Run& run) { return run.counts.peak_memory_kib; });
        add_exits();
        add_notes();
        return std::move(figures_);
    }

  private:
    Row& add(std::string key, std::string label, Unit unit, RunKind kind, const Value& value) {
        Row row{std::move(key), std::move(label), unit, false, {}};
        for (std::size_t column = 0; column < plan_.columns.size(); ++column)
            row.cells.push_back({summarize(values(result_, column, kind, value)), {}});
        figures_.rows.push_back(std::move(row));
        return figures_.rows.back();
    }

    void add_times() {
        for (const MomentName& moment : moment_names(plan_, result_)) {
            const std::string& name = moment.name;
            const bool is_first = name == kFirstInstruction;
            Row& row =
                add("exec_to_" + key_of(is_first ? "first_instruction" : name),
                    "exec -> " + (is_first ? std::string("first instruction") : name), Unit::Nanoseconds,
                    RunKind::Timed, [&](const Run& run) { return moment_of(run, name); });
            row.is_step = !is_headline(name);
        }
        add("exec_to_exit", "exec -> exit", Unit::Nanoseconds, RunKind::Timed,
            [](const Run& run) { return run.exit_ns; });
    }

    static std::string key_of(std::string_view name) {
        std::string key(name);
        std::replace(key.begin(), key.end(), ' ', '_');
        return key;
    }

    void add_exits() {
        const auto returns = [](const Run& run) -> std::optional<u64> {
            if (run.counts.stats) return run.counts.stats->returns;
            return run.counts.kvm_returns;
        };
        add("returns_to_user_space", "returns to user space", Unit::Count, RunKind::Counting, returns);
        say_why_missing();
        add("kvm_exits", "exits to the host's kernel", Unit::Count, RunKind::Counting,
            [](const Run& run) { return run.counts.kvm_exits; });
        say_why_missing();
    }

    void say_why_missing() {
        for (std::size_t column = 0; column < plan_.columns.size(); ++column) {
            Cell& cell = figures_.rows.back().cells[column];
            if (cell.summary || counting_run(result_, column) == nullptr) continue;
            cell.missing =
                result_.has_silent_exit_tracepoint ? "this KVM does not report them" : "not permitted";
        }
    }

    void warn(std::string text) { figures_.warnings.push_back(std::move(text)); }
    void note(std::string text) { figures_.notes.push_back(std::move(text)); }

    void add_notes() {
        note("percentiles are nearest-rank: each is a value that was measured" +
             std::string(plan_.runs < 100 ? "; of fewer than 100 runs p99 is the maximum" : ""));
        note(fmt::format(
            "{} warm-up and {} timed runs of each column, interleaved in a rotating order, each a "
            "fresh exec stamped just before execve(2); end as its pidfd tells",
            plan_.warmup, plan_.runs));
        if (plan_.parallel > 1) add_parallel_note();
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

    /// The load average of the last minute, before we added to it.
    void warn_if_busy() {
        // "2.05 1.55 1.45 1/84 17034"; the whole ones say enough.
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

    void add_parallel_note() {
        std::string text =
            fmt::format("{} at once: they start together, the next ones when all have ended", plan_.parallel);
        const std::size_t boots = sorted_exits(result_, 0).size();
        if (result_.batches_ns != 0 && boots != 0)
            text += fmt::format("; {} did {:.1f} boots a second", plan_.columns[0].name,
                                static_cast<double>(boots) * 1e9 / static_cast<double>(result_.batches_ns));
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
        if (outcome.status && (*outcome.status != 0)) {
            note(fmt::format("{} ended with status {} in its first run, which counts as the rule{}", name,
                             *outcome.status,
                             plan_.columns[column].kind == Column::Kind::Mayfly && *outcome.status == kCrashed
                                 ? ": the guest crashes"
                                 : ""));
        }
        if (outcome.is_given_up) warn(name + " cannot run and was given up after its first run");
        if (outcome.failures != 0)
            warn(fmt::format("{}: {} failed runs are in no figure", name, outcome.failures));
        std::size_t told = 0;
        for (const Run& run : result_.runs) {
            if (run.column != column || run.is_good || told == kFailuresTold) continue;
            ++told;
            warn(fmt::format("{}, round {}: {}{}{}", name, run.round + 1, describe_end(run),
                             run.error_tail.empty() ? "" : ": ", last_lines(run.error_tail)));
        }
    }

    /// At most the last 300 bytes, on one line.
    static std::string last_lines(std::string_view text) {
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

    const BenchPlan& plan_;
    const BenchResult& result_;
    Figures figures_;
};

}  // namespace

std::vector<u64> sorted_exits(const BenchResult& result, std::size_t column) {
    std::vector<u64> list =
        values(result, column, RunKind::Timed, [](const Run& run) { return run.exit_ns; });
    std::sort(list.begin(), list.end());
    return list;
}

std::vector<u64> sorted_moments(const BenchResult& result, std::size_t column, std::string_view name) {
    std::vector<u64> list =
        values(result, column, RunKind::Timed, [&](const Run& run) { return moment_of(run, name); });
    std::sort(list.begin(), list.end());
    return list;
}

const Run* median_run(const BenchResult& result, std::size_t column) {
    const std::vector<u64> exits = sorted_exits(result, column);
    if (exits.empty()) return nullptr;
    const u64 median = percentile(exits, 50);
    for (const Run& run : result.runs) {
        if (run.column == column && run.kind == RunKind::Timed && run.is_good && run.exit_ns == median)
            return &run;
    }
    return nullptr;
}

const Run* counting_run(const BenchResult& result, std::size_t column) {
    const Run* last = nullptr;
    for (const Run& run : result.runs) {
        if (run.column == column && run.kind == RunKind::Counting && run.is_good) last = &run;
    }
    return last;
}

Figures figures_of(const BenchPlan& plan, const BenchResult& result) { return Builder(plan, result).build(); }

}  // namespace mayfly
