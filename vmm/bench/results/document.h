// SPDX-License-Identifier: Apache-2.0
// A finished benchmark as text, Markdown, JSON, CSV and one HTML page.
//
// Everything in them that came from a command line or from outside is escaped. Thread: values only.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vmm/bench/results/figures.h"

namespace mayfly {

struct Document {
    const BenchPlan& plan;
    const BenchResult& result;
    Figures figures;
    std::string repeat;  ///< the command line that does this again
    std::string title;   ///< the `mayfly boot` that was measured, with the names of its parameters
    std::string date;
    std::vector<std::pair<std::string, std::string>> host;  ///< what and its value
};

[[nodiscard]] std::string bench_text(const Document& document);
/// Keys: see the file comment of document_json.cc.
[[nodiscard]] std::string bench_json(const Document& document);
/// A table as GitHub shows it, and the warnings.
[[nodiscard]] std::string bench_markdown(const Document& document);
/// RFC 4180, a row a run, moments as columns; behind them a row "mean" and a row "stddev" of each column.
/// What was not counted is empty.
[[nodiscard]] std::string bench_csv(const Document& document);
[[nodiscard]] std::string bench_html(const Document& document);

/// RFC 4180, 2: quotes around a field with a comma, a quote or a line end; quotes doubled.
[[nodiscard]] std::string csv_field(std::string_view text);
/// For HTML text, for attributes in quotes, and for XML: also without control characters, which XML does not
/// allow.
[[nodiscard]] std::string html_escape(std::string_view text);

/// What the JSON document says of itself; the number changes when a reader of the old layout would err.
inline constexpr const char* kBenchTool = "mayfly bench boot";
inline constexpr u64 kBenchFormat = 2;
/// "ns"
[[nodiscard]] const char* unit_name(Unit unit);

[[nodiscard]] std::string_view kind_name(RunKind kind);

constexpr std::array<std::string_view, 6> kTableHeads{"mean ± σ", "min", "p50", "p90", "p99", "max"};

/// What the tables of text, Markdown and HTML have in one line.
struct TableLine {
    std::string_view label;  ///< empty: as above
    std::size_t column = 0;
    std::vector<std::string> figures;  ///< as kTableHeads, or none
    std::string_view missing;          ///< why there are none
    std::string ratio;                 ///< "27.0 x", "-", "failed"; empty for the first column
};

[[nodiscard]] std::vector<TableLine> table_of(const Document& document);
/// Whether a ratio is to be shown at all: of one column only that it has failed.
[[nodiscard]] bool has_ratios(const Document& document);

}  // namespace mayfly
