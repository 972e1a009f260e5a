// SPDX-License-Identifier: Apache-2.0
// BenchReport: what `mayfly bench boot --json` wrote, read again, without its single runs.
//
// The text may come from anywhere: what is missing, of another type or contradicts itself is an error.
// Thread: values only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vmm/bench/measure/statistics.h"
#include "vmm/error/result.h"

namespace mayfly {

/// A quantity of one of a report's columns.
struct ReportCell {
    std::optional<Summary> summary;
    std::string missing;  ///< why it is missing; may be empty
};

struct ReportRow {
    std::string key;  ///< "exec_to_exit"
    Unit unit = Unit::Nanoseconds;
    std::vector<ReportCell> cells{};  ///< one for each of the report's columns
};

struct ReportColumn {
    std::string name;  ///< "mayfly"
    std::string kind;
    std::vector<std::pair<std::string, std::string>> parameters;
    u64 failures = 0;  ///< runs that are in no figure

    /// Whether both measured the same.
    [[nodiscard]] bool is_like(const ReportColumn& other) const {
        return name == other.name && kind == other.kind && parameters == other.parameters;
    }
};

struct BenchReport {
    std::string name;  ///< of the machine or the day: what its column is called
    std::string file;
    std::string date;
    std::string title;  ///< the command that was measured
    std::vector<std::pair<std::string, std::string>> host;
    u64 runs = 0;
    u64 parallel = 1;
    u64 signal = 0;  ///< which interrupted it, or 0
    std::vector<ReportColumn> columns;
    std::vector<ReportRow> rows;
    std::vector<std::string> warnings;

    /// Empty where it does not say.
    [[nodiscard]] std::string_view fact(std::string_view what) const;
};

/// `file` is where `text` was found. Errors: Invalid, about the file.
Result<BenchReport> parse_report(const std::string& file, std::string_view text);

}  // namespace mayfly
