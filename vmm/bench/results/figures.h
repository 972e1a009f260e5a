// SPDX-License-Identifier: Apache-2.0
// Figures: a benchmark's runs as rows of quantities, one cell per column, and the notes that belong to them.
// Everything that prints, prints these. Thread: values only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/bench/measure/plan.h"
#include "vmm/bench/measure/statistics.h"

namespace mayfly {

struct Cell {
    std::optional<Summary> summary;
    std::optional<double> ratio;  ///< of the medians, to the first column's; none where either has failed
    std::string missing;          ///< why the summary is missing, where a reader would ask
};

struct Row {
    std::string key;    ///< for JSON: "exec_to_exit"
    std::string label;  ///< "exec -> exit"
    Unit unit = Unit::Nanoseconds;
    bool is_step = false;  ///< a phase between the headline moments: for JSON and the phase chart only
    std::vector<Cell> cells;
};

struct Figures {
    std::vector<Row> rows;
    std::vector<std::string> warnings;  ///< reasons to distrust some figures
    std::vector<std::string> notes;
};

[[nodiscard]] Figures figures_of(const BenchPlan& plan, const BenchResult& result);
/// Notes on the measurement, and warnings about the figures. Part of figures_of().
void add_notes(const BenchPlan& plan, const BenchResult& result, Figures& figures);

/// What the keys of moments begin with.
inline constexpr std::string_view kMomentKey = "exec_to_";
/// Of a quantity, by its key: "exec -> exit", "peak memory".
[[nodiscard]] std::string label_of(std::string_view key);

/// exec -> exit of a column's good timed runs, ascending.
[[nodiscard]] std::vector<u64> sorted_exits(const BenchResult& result, std::size_t column);
/// The same for a moment, "first_kvm_run".
[[nodiscard]] std::vector<u64> sorted_moments(const BenchResult& result, std::size_t column,
                                              std::string_view name);
/// The run whose exec -> exit is the median; null without good runs.
[[nodiscard]] const Run* median_run(const BenchResult& result, std::size_t column);
/// The last good counting run; null without.
[[nodiscard]] const Run* counting_run(const BenchResult& result, std::size_t column);

/// A failed column is marked wherever it is shown.
[[nodiscard]] inline bool has_failed(const BenchResult& result, std::size_t column) {
    return result.columns[column].failures != 0;
}

inline constexpr std::string_view kFirstInstruction = "first_kvm_run";

}  // namespace mayfly
