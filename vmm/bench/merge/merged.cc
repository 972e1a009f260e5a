// SPDX-License-Identifier: Apache-2.0
#include "vmm/bench/merge/merged.h"

#include <algorithm>

#include <fmt/format.h>

#include "vmm/bench/results/figures.h"

namespace mayfly {

namespace {

/// "runs/node1.json" is node1.
std::string short_name(const std::string& file) {
    std::string name = file.substr(file.rfind('/') + 1);
    constexpr std::string_view kEnding = ".json";
    if (name.size() > kEnding.size() && name.ends_with(kEnding)) name.resize(name.size() - kEnding.size());
    return name;
}

/// The files' names, in full where two would be called the same.
Result<void> name_reports(std::vector<BenchReport>& reports) {
    for (BenchReport& report : reports) report.name = short_name(report.file);
    for (BenchReport& report : reports) {
        const std::string name = short_name(report.file);
        const auto is_same = [&](const BenchReport& other) { return short_name(other.file) == name; };
        if (std::count_if(reports.begin(), reports.end(), is_same) > 1) report.name = report.file;
        const auto is_twice = [&](const BenchReport& other) { return other.file == report.file; };
        if (std::count_if(reports.begin(), reports.end(), is_twice) > 1)
            return fail(Error::invalid("the report is named twice").about(report.file));
    }
    return {};
}

std::string column_list(const BenchReport& report) {
    std::string list;
    for (const ReportColumn& column : report.columns) {
        list += list.empty() ? "" : ", ";
        list += column.name;
        for (const auto& [name, value] : column.parameters) list += fmt::format(" {}={}", name, value);
    }
    return list;
}

bool differ_by_name_only(const BenchReport& first, const BenchReport& other) {
    const auto is_like_renamed = [](ReportColumn one, const ReportColumn& two) {
        one.name = two.name;
        return one.is_like(two);
    };
    return std::equal(first.columns.begin(), first.columns.end(), other.columns.begin(), other.columns.end(),
                      is_like_renamed);
}

Result<void> check_alike(const BenchReport& first, const BenchReport& other) {
    constexpr std::string_view kHint = "only reports of one command are merged";
    const auto differs = [&](std::string_view what, const auto& one, const auto& two, std::string_view hint) {
        return fail(
            Error::invalid(fmt::format("the report {} {}, and that of {} {}", what, two, first.file, one))
                .about(other.file)
                .hint(std::string(hint)));
    };
    if (first.title != other.title) return differs("measured", first.title, other.title, kHint);
    const auto is_like = [](const ReportColumn& a, const ReportColumn& b) { return a.is_like(b); };
    if (!std::equal(first.columns.begin(), first.columns.end(), other.columns.begin(), other.columns.end(),
                    is_like)) {
        const std::string one = column_list(first);
        const std::string two = column_list(other);
        if (differ_by_name_only(first, other))
            return differs("names its columns", one, two, "measure both with the same --name options");
        return differs("compared", one, two, kHint);
    }
    if (first.parallel != other.parallel)
        return differs("measured with --parallel", first.parallel, other.parallel, kHint);
    return {};
}

bool is_step(std::string_view key) {
    if (!key.starts_with(kMomentKey)) return false;
    key.remove_prefix(kMomentKey.size());
    return key != "main" && key != "first_instruction" && key != "exit" && !key.starts_with("guest_mark") &&
           !key.starts_with("console:");
}

const ReportRow* find_row(const BenchReport& report, const std::string& key) {
    for (const ReportRow& row : report.rows) {
        if (row.key == key) return &row;
    }
    return nullptr;
}

/// In the order of the first report; what only others have comes behind.
std::vector<const ReportRow*> all_rows(const std::vector<BenchReport>& reports) {
    std::vector<const ReportRow*> rows;
    for (const BenchReport& report : reports) {
        for (const ReportRow& row : report.rows) {
            const auto is_same = [&](const ReportRow* known) { return known->key == row.key; };
            if (std::none_of(rows.begin(), rows.end(), is_same)) rows.push_back(&row);
        }
    }
    return rows;
}

Result<void> add_row(const ReportRow& row, MergedReport& merged) {
    for (std::size_t column = 0; column < row.cells.size(); ++column) {
        MergedRow all{row.key, label_of(row.key), column, row.unit, is_step(row.key), {}};
        for (const BenchReport& report : merged.reports) {
            const ReportRow* of_report = find_row(report, row.key);
            if (of_report != nullptr && of_report->unit != row.unit)
                return fail(Error::invalid(fmt::format("the report has '{}' in another unit", row.key))
                                .about(report.file));
            all.cells.push_back(of_report == nullptr ? ReportCell{} : of_report->cells[column]);
        }
        const auto has_any = [](const ReportCell& cell) { return cell.summary || !cell.missing.empty(); };
        if (std::any_of(all.cells.begin(), all.cells.end(), has_any)) merged.rows.push_back(std::move(all));
    }
    return {};
}

void add_warnings(const BenchReport& report, std::vector<std::string>& warnings) {
    for (const ReportColumn& column : report.columns) {
        if (column.failures != 0)
            warnings.push_back(fmt::format("{}: {} FAILED: {} of its runs are in no figure", report.name,
                                           column.name, column.failures));
    }
    if (report.signal != 0)
        warnings.push_back(
            fmt::format("{}: interrupted by signal {}: it has fewer runs", report.name, report.signal));
    for (const std::string& warning : report.warnings)
        warnings.push_back(fmt::format("{}: {}", report.name, warning));
}

}  // namespace

Result<MergedReport> merge_reports(std::vector<BenchReport> reports) {
    MergedReport merged{std::move(reports), {}, {}};
    TRY_VOID(name_reports(merged.reports));
    for (const BenchReport& report : merged.reports) TRY_VOID(check_alike(merged.reports.front(), report));
    for (const ReportRow* row : all_rows(merged.reports)) TRY_VOID(add_row(*row, merged));
    for (const BenchReport& report : merged.reports) add_warnings(report, merged.warnings);
    return merged;
}

}  // namespace mayfly
