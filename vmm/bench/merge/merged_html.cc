// SPDX-License-Identifier: Apache-2.0
// The merged page: ranges of exec -> exit as a chart, then every report as a column of one table.
#include <algorithm>

#include <fmt/format.h>

#include "vmm/bench/merge/merged.h"
#include "vmm/bench/page/html.h"

namespace mayfly {

namespace {

using html::column_class;
using html::pretty;

constexpr double kWidth = 840;
constexpr double kLeft = 200;
constexpr double kRight = 740;
constexpr double kLine = 30;
constexpr std::size_t kNameLettersMax = 24;

std::string time(u64 ns) { return pretty(print_figure(ns, Unit::Nanoseconds)); }

/// A line from the least to the greatest value of each report, and a dot at the median.
std::string range_chart(const MergedReport& merged, const MergedRow& row) {
    u64 longest = 1;
    for (const ReportCell& cell : row.cells)
        longest = std::max(longest, cell.summary ? cell.summary->max : 0);
    const auto x = [&](u64 value) {
        return kLeft + (kRight - kLeft) * static_cast<double>(value) / static_cast<double>(longest);
    };
    std::string described;
    std::string drawn;
    for (std::size_t i = 0; i < row.cells.size(); ++i) {
        const double y = kLine * (static_cast<double>(i) + 0.6);
        const std::string& whole = merged.reports[i].name;
        const std::string name = whole.size() <= kNameLettersMax
                                     ? whole
                                     : "..." + whole.substr(whole.size() - kNameLettersMax + 3);
        drawn += fmt::format("<text x=\"0\" y=\"{:.1f}\">{}</text>", y + 4, html_escape(name));
        const auto& summary = row.cells[i].summary;
        if (!summary) {
            drawn += fmt::format("<text class=\"ax\" x=\"{}\" y=\"{:.1f}\">no result</text>", kLeft, y + 4);
            continue;
        }
        described += fmt::format("{}: {} to {}, median {}; ", html_escape(whole), time(summary->min),
                                 time(summary->max), time(summary->p50));
        drawn += fmt::format(
            "<g class=\"{}\"><path class=\"curve\" d=\"M{:.1f} {:.1f}H{:.1f}\"/><circle class=\"dot\" "
            "cx=\"{:.1f}\" "
            "cy=\"{:.1f}\" r=\"5\"/></g><text class=\"ax\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>",
            column_class(i), x(summary->min), y, x(summary->max), x(summary->p50), y, x(summary->max) + 10,
            y + 4, time(summary->p50));
    }
    return fmt::format(
        "<div class=\"scroll\"><svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" "
        "role=\"img\"><title>"
        "{}</title><desc>{}</desc>{}</svg></div>",
        kWidth, kLine * (static_cast<double>(row.cells.size()) + 0.4), pretty(row.label), described, drawn);
}

std::string charts(const MergedReport& merged) {
    std::string html;
    for (const MergedRow& row : merged.rows) {
        if (row.key != "exec_to_exit") continue;
        html += fmt::format("<h3>{}</h3>", html_escape(merged.reports.front().columns[row.column].name)) +
                range_chart(merged, row);
    }
    return html;
}

template <typename Cell>
std::string table_line(std::string_view label, std::size_t count, const Cell& cell_of) {
    std::string html = fmt::format("<tr><td>{}</td>", pretty(label));
    for (std::size_t i = 0; i < count; ++i) html += cell_of(i);
    return html + "</tr>";
}

std::string figure_cell(const ReportCell& cell, Unit unit) {
    if (!cell.summary)
        return fmt::format("<td class=\"dim wrap\">{}</td>",
                           html_escape(cell.missing.empty() ? "-" : cell.missing));
    const Summary& s = *cell.summary;
    return fmt::format("<td>{}<br><small>{} \u2013 {}<br>n {}</small></td>",
                       pretty(print_figure(s.p50, unit)), pretty(print_figure(s.min, unit)),
                       pretty(print_figure(s.max, unit)), s.count);
}

std::string table(const MergedReport& merged) {
    const std::vector<BenchReport>& reports = merged.reports;
    std::string html = "<div class=\"scroll\"><table><thead><tr><th scope=\"col\"></th>";
    for (std::size_t i = 0; i < reports.size(); ++i)
        html += fmt::format("<th scope=\"col\"><span class=\"sw {}\"></span>{}</th>", column_class(i),
                            html_escape(reports[i].name));
    html += "</tr></thead><tbody>";
    const auto add_fact = [&](std::string_view label, const auto& text_of) {
        html += table_line(label, reports.size(), [&](std::size_t i) {
            return fmt::format("<td class=\"wrap\">{}</td>", html_escape(text_of(reports[i])));
        });
    };
    for (const FactName& fact : kFacts)
        add_fact(fact.label, [&](const BenchReport& report) { return report.fact(fact.key); });
    add_fact("date", [](const BenchReport& report) { return std::string_view(report.date); });
    for (const MergedRow& row : merged.rows) {
        if (row.is_step) continue;
        const std::vector<ReportColumn>& columns = reports.front().columns;
        const std::string label =
            columns.size() > 1 ? fmt::format("{}, {}", row.label, columns[row.column].name) : row.label;
        html += table_line(label, reports.size(),
                           [&](std::size_t i) { return figure_cell(row.cells[i], row.unit); });
    }
    return html + "</tbody></table></div>";
}

}  // namespace

std::string merged_html(const MergedReport& merged) {
    const std::string title = html_escape(merged.reports.front().title);
    std::string page = fmt::format(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
        "content=\"width=device-width,initial-scale=1\"><title>Cold start: {}</title><style>",
        title);
    page += html::kStyle;
    page += fmt::format(
        "</style></head><body><main><p class=\"kick\">Cold start, {} reports</p><h1><code>{}</code></h1>",
        merged.reports.size(), title);
    for (const std::string& warning : merged.warnings)
        page += "<p class=\"warn\">" + pretty(warning) + "</p>";
    page +=
        "<section><h2>exec \u2192 exit</h2><p class=\"dim\">From the shortest run to the longest; dots are "
        "medians.</p>" +
        charts(merged) + "</section>";
    page +=
        "<section><h2>Machines and figures</h2><p class=\"dim\">Medians, and below each the range and the "
        "number "
        "of runs.</p>" +
        table(merged) + "</section>";
    return page + "</main></body></html>\n";
}

}  // namespace mayfly
