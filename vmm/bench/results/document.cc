// SPDX-License-Identifier: Apache-2.0
#include "vmm/bench/results/document.h"

#include <fmt/format.h>

#include "vmm/text/layout.h"

namespace mayfly {

namespace {

std::string ratio_text(const Document& document, const Cell& cell, std::size_t column) {
    if (has_failed(document.result, column)) return "failed";
    if (column == 0) return {};
    return cell.ratio ? print_ratio(*cell.ratio) : "-";
}

std::vector<std::string> figures_text(const Summary& summary, Unit unit) {
    std::vector<std::string> figures{print_mean(summary, unit)};
    for (const u64 value : {summary.min, summary.p50, summary.p90, summary.p99, summary.max})
        figures.push_back(print_figure(value, unit));
    return figures;
}

/// CommonMark, 2.4 "Backslash escapes": any ASCII punctuation may be escaped.
std::string markdown_escape(std::string_view text) {
    std::string escaped;
    for (const char c : text) {
        const bool is_control = static_cast<unsigned char>(c) < 0x20;
        if (std::string_view("\\`*_[]<>|~&#").find(c) != std::string_view::npos) escaped += '\\';
        escaped += is_control ? ' ' : c;
    }
    return escaped;
}

constexpr std::size_t kNameColumns = 9;
constexpr std::size_t kMeanColumns = 19;
constexpr std::size_t kFigureColumns = 9;
constexpr std::size_t kRatioColumns = 7;
constexpr std::size_t kTableColumns =
    kNameColumns + kMeanColumns + (kTableHeads.size() - 1) * kFigureColumns + kRatioColumns;

template <typename Texts>
std::string aligned(const Texts& figures) {
    std::string text;
    for (std::size_t i = 0; i < figures.size(); ++i)
        text += fmt::format("{:>{}}", figures[i], i == 0 ? kMeanColumns : kFigureColumns);
    return text;
}

/// Below its label: a name that is short stands before its figures, any other above them.
std::string wide_line(const std::string& name, const TableLine& line, std::size_t columns) {
    if (line.figures.empty())
        return wrap_text(
                   fmt::format(" {}  {}", name, line.missing) + (line.ratio.empty() ? "" : "  " + line.ratio),
                   columns, 2) +
               '\n';
    std::string text = " " + name;
    if (text_width(name) + 1 < kNameColumns)
        text.append(kNameColumns - 1 - text_width(name), ' ');
    else
        text = wrap_text(text, columns, 2) + '\n' + std::string(kNameColumns, ' ');
    text += aligned(line.figures);
    if (!line.ratio.empty()) text += fmt::format("{:>{}}", line.ratio, kRatioColumns);
    return text + '\n';
}

std::string narrow_line(const std::string& name, const TableLine& line, std::size_t columns) {
    std::vector<std::string> items;
    for (std::size_t i = 0; i < line.figures.size(); ++i)
        items.push_back(fmt::format("{} {}", i == 0 ? "mean" : kTableHeads[i], line.figures[i]));
    if (line.figures.empty()) items.emplace_back(line.missing);
    if (!line.ratio.empty()) items.push_back("ratio " + line.ratio);
    return wrap_text(" " + name, columns, 2) + '\n' + item_lines(items, columns, 4);
}

}  // namespace

std::string_view kind_name(RunKind kind) {
    switch (kind) {
        case RunKind::WarmUp: return "warm-up";
        case RunKind::Timed: return "timed";
        case RunKind::Bare: return "bare";
        case RunKind::Counting: return "counting";
    }
    return "";
}

bool has_ratios(const Document& document) {
    return document.plan.columns.size() > 1 || has_failed(document.result, 0);
}

std::vector<TableLine> table_of(const Document& document) {
    std::vector<TableLine> lines;
    for (const Row& row : document.figures.rows) {
        if (row.is_step) continue;
        std::string_view label = row.label;
        for (std::size_t column = 0; column < row.cells.size(); ++column) {
            const Cell& cell = row.cells[column];
            if (!cell.summary && cell.missing.empty()) continue;
            TableLine line{label, column, {}, cell.missing, {}};
            if (cell.summary) {
                line.figures = figures_text(*cell.summary, row.unit);
                line.ratio = ratio_text(document, cell, column);
            }
            lines.push_back(std::move(line));
            label = {};
        }
    }
    return lines;
}

std::string bench_text(const Document& document, std::size_t columns) {
    const bool has_room = columns >= kTableColumns;
    std::string text;
    if (has_room) {
        text = std::string(kNameColumns, ' ') + aligned(kTableHeads);
        text += has_ratios(document) ? "  ratio\n" : "\n";
    }
    for (const TableLine& line : table_of(document)) {
        if (!line.label.empty()) text += wrap_text(line.label, columns, 2) + '\n';
        const std::string& name = document.plan.columns[line.column].name;
        text += has_room ? wide_line(name, line, columns) : narrow_line(name, line, columns);
    }
    text += '\n';
    const auto add = [&](const std::string& note) { text += wrap_text(note, columns, 2) + '\n'; };
    for (const std::string& warning : document.figures.warnings) add("! " + warning);
    for (const std::string& note : document.figures.notes) add("- " + note);
    for (const auto& [what, value] : document.host) add(fmt::format("{}: {}", what, value));
    // A command stays on one line: it is there to be copied.
    return text + fmt::format("again: {}\n", document.repeat);
}

std::string bench_markdown(const Document& document) {
    const bool has_ratio = has_ratios(document);
    std::string text = "| quantity | of |";
    for (const std::string_view head : kTableHeads) text += fmt::format(" {} |", head);
    text += has_ratio ? " ratio |\n|:---|:---|" : "\n|:---|:---|";
    for (std::size_t i = 0; i < kTableHeads.size() + has_ratio; ++i) text += "---:|";
    text += '\n';
    for (const TableLine& line : table_of(document)) {
        text += fmt::format("| {} | {} |", markdown_escape(line.label),
                            markdown_escape(document.plan.columns[line.column].name));
        for (std::size_t i = 0; i < kTableHeads.size(); ++i)
            text += fmt::format(" {} |", !line.figures.empty() ? line.figures[i]
                                         : i == 0              ? markdown_escape(line.missing)
                                                               : std::string());
        text += has_ratio ? fmt::format(" {} |\n", line.ratio) : "\n";
    }
    text += '\n';
    for (const std::string& warning : document.figures.warnings)
        text += fmt::format("- **!** {}\n", markdown_escape(warning));
    return text;
}

}  // namespace mayfly
