// SPDX-License-Identifier: Apache-2.0
#include "vmm/bench/results/figures.h"

#include <algorithm>
#include <functional>

namespace mayfly {

namespace {

constexpr const char* kNotCounted = "not counted";

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
        add("user_cpu", Unit::Nanoseconds, RunKind::Timed, [](const Run& run) { return run.user_ns; });
        add("system_cpu", Unit::Nanoseconds, RunKind::Timed, [](const Run& run) { return run.system_ns; });
        add("cpu", Unit::Nanoseconds, RunKind::Timed,
            [](const Run& run) { return run.user_ns + run.system_ns; });
        add("voluntary_switches", Unit::Count, RunKind::Timed, [](const Run& run) { return run.waits; });
        add("involuntary_switches", Unit::Count, RunKind::Timed,
            [](const Run& run) { return run.preemptions; });
        add("peak_memory_kib", Unit::Kibibytes, RunKind::Counting,
            [](const Run& run) { return run.counts.peak_memory_kib; });
        add_exits();
        add_notes(plan_, result_, figures_);
        return std::move(figures_);
    }

  private:
    Row& add(const std::string& key, Unit unit, RunKind kind, const Value& value) {
        Row row{key, label_of(key), unit, false, {}};
        for (std::size_t column = 0; column < plan_.columns.size(); ++column)
            row.cells.push_back({summarize(values(result_, column, kind, value)), {}, {}});
        compare(row);
        figures_.rows.push_back(std::move(row));
        return figures_.rows.back();
    }

    void compare(Row& row) const {
        const std::optional<Summary> first = row.cells.front().summary;
        if (!first || first->p50 == 0 || has_failed(result_, 0)) return;
        for (std::size_t column = 0; column < row.cells.size(); ++column) {
            Cell& cell = row.cells[column];
            if (cell.summary && !has_failed(result_, column))
                cell.ratio = static_cast<double>(cell.summary->p50) / static_cast<double>(first->p50);
        }
    }

    void add_times() {
        for (const MomentName& moment : moment_names(plan_, result_)) {
            const std::string& name = moment.name;
            const bool is_first = name == kFirstInstruction;
            Row& row =
                add(std::string(kMomentKey) + key_of(is_first ? "first_instruction" : name),
                    Unit::Nanoseconds, RunKind::Timed, [&](const Run& run) { return moment_of(run, name); });
            // A mark of the user's keeps its underscores.
            if (!is_first) row.label = "exec -> " + name;
            row.is_step = !is_headline(name);
        }
        add("exec_to_exit", Unit::Nanoseconds, RunKind::Timed, [](const Run& run) { return run.exit_ns; });
        for (const Run& run : result_.runs) {
            Cell& cell = figures_.rows.back().cells[run.column];
            if (!cell.summary && !run.is_good && cell.missing.empty())
                cell.missing = "failed: " + describe_end(run);
        }
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
        add("returns_to_user_space", Unit::Count, RunKind::Counting, returns);
        say_why_missing();
        add("kvm_exits", Unit::Count, RunKind::Counting, [](const Run& run) { return run.counts.kvm_exits; });
        say_why_missing();
    }

    void say_why_missing() {
        for (std::size_t column = 0; column < plan_.columns.size(); ++column) {
            Cell& cell = figures_.rows.back().cells[column];
            if (cell.summary || counting_run(result_, column) == nullptr) continue;
            const bool is_ours = plan_.columns[column].kind == Column::Kind::Mayfly;
            cell.missing = !is_ours                             ? kNotCounted
                           : result_.has_silent_exit_tracepoint ? "this KVM does not report them"
                                                                : "not permitted";
        }
    }

    const BenchPlan& plan_;
    const BenchResult& result_;
    Figures figures_;
};

}  // namespace

std::string label_of(std::string_view key) {
    if (key == "user_cpu") return "user CPU, guest included";
    if (key == "system_cpu") return "system CPU";
    if (key == "cpu") return "CPU, both";
    if (key == "peak_memory_kib") return "peak memory";
    if (key == "kvm_exits") return "exits to the host's kernel";
    const bool is_moment = key.starts_with(kMomentKey);
    std::string label(is_moment ? key.substr(kMomentKey.size()) : key);
    std::replace(label.begin(), label.end(), '_', ' ');
    return is_moment ? "exec -> " + label : label;
}

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
