// SPDX-License-Identifier: Apache-2.0
// The merged table: blocks of as many reports as a line has room for.
#include <algorithm>

#include <fmt/format.h>

#include "vmm/bench/merge/merged.h"
#include "vmm/text/layout.h"

namespace mayfly {

namespace {

constexpr std::size_t kLabelWidth = 14;
constexpr std::size_t kCellWidthMin = 20;
constexpr std::size_t kBlockReportsMax = 3;

/// How many of the reports a line of `columns` has room for: one at least.
std::size_t block_reports(const MergedReport& merged, std::size_t columns) {
    const std::size_t room = columns / kCellWidthMin;
    return std::clamp<std::size_t>(room - std::min<std::size_t>(room, 1), 1,
                                   std::min(kBlockReportsMax, merged.reports.size()));
}

/// The first `width` characters, all bytes of each.
std::size_t bytes_of(std::string_view text, std::size_t width) {
    std::size_t at = 0;
    for (; at < text.size(); ++at) {
        const bool begins = (static_cast<unsigned char>(text[at]) & 0xc0) != 0x80;
        if (begins && width-- == 0) break;
    }
    return at;
}

/// Broken at blanks, and within words that are too long.
std::vector<std::string> wrapped(std::string_view text, std::size_t width) {
    std::vector<std::string> lines;
    while (text_width(text) > width) {
        const std::size_t fits = bytes_of(text, width);
        // A blank right behind what fits is a good end too.
        std::size_t cut = text.rfind(' ', fits);
        if (cut == std::string_view::npos || cut == 0) cut = fits;
        lines.emplace_back(text.substr(0, cut));
        text.remove_prefix(std::min(text.size(), cut + (text[cut] == ' ' ? 1 : 0)));
    }
    lines.emplace_back(text);
    return lines;
}

/// Some of the reports, beside each other.
class Block {
  public:
    Block(const MergedReport& merged, std::size_t first, std::size_t columns)
        : merged_(merged),
          first_(first),
          columns_(columns),
          count_(std::min(block_reports(merged, columns), merged.reports.size() - first)),
          cell_width_((columns - kLabelWidth) / block_reports(merged, columns)) {}

    std::string text() {
        facts("", [](const BenchReport& report) { return report.name; });
        for (const FactName& fact : kFacts)
            facts(fact.label, [&](const BenchReport& report) { return std::string(report.fact(fact.key)); });
        facts("date", [](const BenchReport& report) { return report.date; });
        for (const MergedRow& row : merged_.rows) {
            const auto has_figures = [](const ReportCell& cell) { return cell.summary.has_value(); };
            if (!row.is_step && std::any_of(row.cells.begin(), row.cells.end(), has_figures)) figures(row);
        }
        return std::move(text_);
    }

  private:
    template <typename Text>
    void facts(std::string_view label, const Text& text_of) {
        std::vector<std::vector<std::string>> cells;
        std::size_t lines = 0;
        for (std::size_t i = 0; i < count_; ++i) {
            cells.push_back(wrapped(text_of(merged_.reports[first_ + i]), cell_width_ - 1));
            lines = std::max(lines, cells.back().size());
        }
        for (std::size_t line = 0; line < lines; ++line) {
            std::vector<std::string> words;
            words.reserve(cells.size());
            for (const auto& cell : cells) words.push_back(line < cell.size() ? cell[line] : std::string());
            add_line(line == 0 ? label : "", words);
        }
    }

    void figures(const MergedRow& row) {
        const std::vector<ReportColumn>& columns = merged_.reports.front().columns;
        const std::string title =
            columns.size() > 1 ? fmt::format("{}, {}", row.label, columns[row.column].name) : row.label;
        text_ += '\n';
        for (const std::string& line : wrapped(title, columns_)) text_ += line + '\n';
        const auto add = [&](std::string_view label, const auto& figure_of) {
            std::vector<std::string> words;
            for (std::size_t i = 0; i < count_; ++i) {
                const ReportCell& cell = row.cells[first_ + i];
                words.push_back(cell.summary ? figure_of(*cell.summary) : "-");
            }
            add_line(label, words);
        };
        add("  min", [&](const Summary& s) { return print_figure(s.min, row.unit); });
        add("  median", [&](const Summary& s) { return print_figure(s.p50, row.unit); });
        add("  max", [&](const Summary& s) { return print_figure(s.max, row.unit); });
        add("  n", [](const Summary& s) { return std::to_string(s.count); });
    }

    void add_line(std::string_view label, const std::vector<std::string>& words) {
        std::string line = fmt::format("{:<{}}", label, kLabelWidth);
        for (const std::string& word : words)
            line += word + std::string(cell_width_ - std::min(cell_width_, text_width(word)), ' ');
        line.resize(line.find_last_not_of(' ') + 1);
        text_ += line + '\n';
    }

    const MergedReport& merged_;
    const std::size_t first_;
    const std::size_t columns_;
    const std::size_t count_;
    const std::size_t cell_width_;
    std::string text_;
};

}  // namespace

std::string merged_text(const MergedReport& merged, std::size_t columns) {
    std::string text;
    const auto add_wrapped = [&](const std::string& line) {
        for (const std::string& one : wrapped(line, columns)) text += one + '\n';
    };
    add_wrapped(merged.reports.front().title);
    const std::size_t step = block_reports(merged, columns);
    for (std::size_t first = 0; first < merged.reports.size(); first += step)
        text += '\n' + Block(merged, first, columns).text();
    if (!merged.warnings.empty()) text += '\n';
    for (const std::string& warning : merged.warnings) add_wrapped("! " + warning);
    return text;
}

}  // namespace mayfly
