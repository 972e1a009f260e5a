// SPDX-License-Identifier: Apache-2.0
#include "vmm/bench/document.h"

#include <algorithm>

#include <fmt/format.h>

namespace mayfly {

namespace {

constexpr std::size_t kNameWidthMax = 24;

std::string table_line(std::string_view label, std::string_view name, std::size_t name_width) {
    return fmt::format("{:<28} {:<{}}", label, name.substr(0, kNameWidthMax), name_width);
}

std::string row_text(const Document& document, const Row& row, std::size_t name_width) {
    std::string text;
    const std::optional<Summary>& first = row.cells.front().summary;
    bool is_labelled = false;
    for (std::size_t column = 0; column < row.cells.size(); ++column) {
        const Cell& cell = row.cells[column];
        if (!cell.summary && cell.missing.empty()) continue;
        text += table_line(is_labelled ? "" : row.label, document.plan.columns[column].name, name_width);
        is_labelled = true;
        if (cell.summary) {
            for (const u64 value : {cell.summary->min, cell.summary->p50, cell.summary->p90,
                                    cell.summary->p99, cell.summary->max})
                text += fmt::format("{:>11}", print_figure(value, row.unit));
            if (column != 0 && first)
                text += fmt::format("{:>9}", print_ratio(cell.summary->p50, first->p50));
        } else {
            text += "  " + cell.missing;
        }
        text += '\n';
    }
    return text;
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

std::string bench_text(const Document& document) {
    std::size_t width = 6;
    for (const Column& column : document.plan.columns)
        width = std::max(width, std::min(column.name.size(), kNameWidthMax));
    std::string text = table_line("", "", width);
    for (const char* head : {"min", "p50", "p90", "p99", "max"}) text += fmt::format("{:>11}", head);
    text += document.plan.columns.size() > 1 ? "    ratio\n" : "\n";
    for (const Row& row : document.figures.rows) {
        if (!row.is_step) text += row_text(document, row, width);
    }
    text += '\n';
    for (const std::string& warning : document.figures.warnings) text += fmt::format("! {}\n", warning);
    for (const std::string& note : document.figures.notes) text += fmt::format("- {}\n", note);
    for (const auto& [what, value] : document.host) text += fmt::format("{}: {}\n", what, value);
    return text + fmt::format("again: {}\n", document.repeat);
}

std::string csv_field(std::string_view text) {
    if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
    std::string field = "\"";
    for (const char c : text) {
        if (c == '"') field += '"';
        field += c;
    }
    return field + '"';
}

std::string bench_csv(const Document& document) {
    std::vector<std::string> moments;
    for (const Run& run : document.result.runs) {
        for (const Moment& moment : run.moments) {
            if (std::find(moments.begin(), moments.end(), moment.name) == moments.end())
                moments.push_back(moment.name);
        }
    }
    std::string text =
        "column,kind,round,good,end,exec_monotonic_ns,exit_ns,user_ns,system_ns,voluntary_switches,"
        "involuntary_switches,peak_memory_kib,returns_to_user_space,kvm_exits,kvm_userspace_exits";
    for (const std::string& moment : moments) text += "," + csv_field(moment + " ns");
    text += "\r\n";
    const auto number = [](const std::optional<u64>& value) {
        return value ? std::to_string(*value) : std::string();
    };
    for (const Run& run : document.result.runs) {
        const bool is_counting = run.kind == RunKind::Counting;
        text += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}",
                            csv_field(document.plan.columns[run.column].name), kind_name(run.kind), run.round,
                            run.is_good ? 1 : 0, csv_field(describe_end(run)), run.exec_monotonic_ns,
                            run.exit_ns, run.user_ns, run.system_ns, run.waits, run.preemptions,
                            is_counting ? std::to_string(run.counts.peak_memory_kib) : "",
                            run.counts.stats ? std::to_string(run.counts.stats->returns) : "",
                            number(run.counts.kvm_exits), number(run.counts.kvm_returns));
        for (const std::string& name : moments) {
            text += ',';
            for (const Moment& moment : run.moments) {
                if (moment.name == name) text += std::to_string(moment.at_ns);
            }
        }
        text += "\r\n";
    }
    return text;
}

}  // namespace mayfly
