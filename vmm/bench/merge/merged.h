// SPDX-License-Identifier: Apache-2.0
// MergedReport: the reports of several machines or days beside each other, as text, JSON and one HTML page.
//
// Each report is a column, with its facts above its figures; nothing is averaged over machines. Thread:
// values only.
#pragma once

#include <string>
#include <vector>

#include "vmm/bench/merge/report_file.h"

namespace mayfly {

/// One line of the merged table's figures.
struct MergedRow {
    std::string key;
    std::string label;       ///< "exec -> exit"
    std::size_t column = 0;  ///< of each report's
    Unit unit = Unit::Nanoseconds;
    bool is_step = false;           ///< a phase between the headline moments: for JSON only
    std::vector<ReportCell> cells;  ///< one for each report
};

struct MergedReport {
    std::vector<BenchReport> reports;
    std::vector<MergedRow> rows;
    std::vector<std::string> warnings;  ///< each begins with its report's name
};

/// `reports` is not empty. Gives each its name. Errors: Invalid, about the file that does not belong to the
/// first one's.
Result<MergedReport> merge_reports(std::vector<BenchReport> reports);

/// Up to `columns` wide: as many reports beside each other as fit, the others below.
[[nodiscard]] std::string merged_text(const MergedReport& merged, std::size_t columns);
/// Keys: see the file comment of merged_json.cc.
[[nodiscard]] std::string merged_json(const MergedReport& merged);
[[nodiscard]] std::string merged_html(const MergedReport& merged);

/// The facts that belong beside a machine's figures: what and how a report's `host` calls it.
struct FactName {
    std::string_view label;
    std::string_view key;
};
inline constexpr FactName kFacts[] = {
    {"processor", "processor"}, {"kernel", "kernel"}, {"KVM", "KVM"}, {"mayfly", "mayfly"}};

}  // namespace mayfly
