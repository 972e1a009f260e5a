// SPDX-License-Identifier: Apache-2.0
#include "vmm/bench/results/document.h"

#include <algorithm>

#include <fmt/format.h>

namespace mayfly {

namespace {

constexpr std::size_t kNameWidthMax = 32;

/// Columns of one benchmark often begin alike: the end of a long name is kept.
std::string short_name(const std::string& name) {
    constexpr std::size_t kHead = 10;
    constexpr std::string_view kGap = "...";
    if (name.size() <= kNameWidthMax) return name;
    const auto is_inside_character = [&](std::size_t at) {
        return (static_cast<unsigned char>(name[at]) & 0xc0) == 0x80;
    };
    std::size_t head = kHead;
    while (head > 0 && is_inside_character(head)) --head;
    std::size_t tail = name.size() - (kNameWidthMax - kHead - kGap.size());
    while (tail < name.size() && is_inside_character(tail)) ++tail;
    return name.substr(0, head) + std::string(kGap) + name.substr(tail);
}

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

std::string bench_text(const Document& document) {
    const std::vector<Column>& columns = document.plan.columns;
    std::size_t width = 6;
    for (const Column& column : columns) width = std::max(width, short_name(column.name).size());
    std::string text = fmt::format("{:<27} {:<{}}", "", "", width);
    for (const std::string_view head : kTableHeads)
        text += fmt::format("{:>{}}", head, head == kTableHeads[0] ? 20 : 10);
    text += has_ratios(document) ? "   ratio\n" : "\n";
    for (const TableLine& line : table_of(document)) {
        text += fmt::format("{:<27} {:<{}}", line.label, short_name(columns[line.column].name), width);
        for (std::size_t i = 0; i < line.figures.size(); ++i)
            text += fmt::format("{:>{}}", line.figures[i], i == 0 ? 20 : 10);
        if (line.figures.empty()) text += fmt::format("  {}", line.missing);
        if (!line.ratio.empty()) text += fmt::format("{:>8}", line.ratio);
        text += '\n';
    }
    text += '\n';
    for (const std::string& warning : document.figures.warnings) text += fmt::format("! {}\n", warning);
    for (const std::string& note : document.figures.notes) text += fmt::format("- {}\n", note);
    for (const auto& [what, value] : document.host) text += fmt::format("{}: {}\n", what, value);
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
