// SPDX-License-Identifier: Apache-2.0
#include "vmm/bench/merge/report_file.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "vmm/bench/merge/json_reader.h"
#include "vmm/bench/results/document.h"
#include "vmm/watch/plain_text.h"

namespace mayfly {

namespace {

using Kind = JsonValue::Kind;

constexpr std::array kUnits{std::pair<std::string_view, Unit>{"ns", Unit::Nanoseconds},
                            std::pair<std::string_view, Unit>{"KiB", Unit::Kibibytes},
                            std::pair<std::string_view, Unit>{"count", Unit::Count}};

/// One report while it is read: values by their names, and the first that was not as it has to be.
class Reader {
  public:
    explicit Reader(const std::string& file) : file_(file) {}

    [[nodiscard]] Error error(std::string what) const { return Error::invalid(std::move(what)).about(file_); }
    /// `key` is not what a report has there.
    void lacks(std::string_view key) {
        if (problem_.empty()) problem_ = key;
    }
    [[nodiscard]] const std::string& problem() const { return problem_; }

    /// An empty value where it is missing or of another kind.
    const JsonValue& find(const JsonValue& object, std::string_view key, Kind kind) {
        const JsonValue* found = object.find(key);
        if (found != nullptr && found->kind == kind) return *found;
        lacks(key);
        return empty_;
    }
    std::string text(const JsonValue& object, std::string_view key) {
        return visible(find(object, key, Kind::Text).text);
    }
    u64 number(const JsonValue& object, std::string_view key) {
        const std::optional<u64> number = find(object, key, Kind::Number).number();
        if (!number) lacks(key);
        return number.value_or(0);
    }
    const std::vector<JsonValue>& array(const JsonValue& object, std::string_view key) {
        return find(object, key, Kind::Array).items;
    }
    std::vector<std::pair<std::string, std::string>> pairs(const JsonValue& object, std::string_view key) {
        std::vector<std::pair<std::string, std::string>> list;
        const JsonValue& members = find(object, key, Kind::Object);
        for (std::size_t i = 0; i < members.items.size(); ++i) {
            if (members.items[i].kind != Kind::Text) lacks(key);
            list.emplace_back(visible(members.names[i]), visible(members.items[i].text));
        }
        return list;
    }

  private:
    const std::string& file_;
    std::string problem_;
    const JsonValue empty_;
};

ReportCell read_cell(Reader& reader, const JsonValue& object) {
    ReportCell cell;
    if (object.kind == Kind::Null) return cell;
    if (object.find("missing") != nullptr) cell.missing = reader.text(object, "missing");
    const u64 count = reader.number(object, "n");
    if (count == 0) return cell;
    Summary summary{.count = count,
                    .min = reader.number(object, "min"),
                    .p50 = reader.number(object, "p50"),
                    .p90 = reader.number(object, "p90"),
                    .p99 = reader.number(object, "p99"),
                    .max = reader.number(object, "max")};
    const std::array ascending{summary.min, summary.p50, summary.p90, summary.p99, summary.max};
    if (!std::is_sorted(ascending.begin(), ascending.end())) reader.lacks("min to max");
    cell.summary = summary;
    return cell;
}

ReportRow read_row(Reader& reader, const std::string& key, const JsonValue& object, std::size_t columns) {
    ReportRow row{.key = visible(key)};
    const std::string unit = reader.text(object, "unit");
    const auto found =
        std::find_if(kUnits.begin(), kUnits.end(), [&](const auto& known) { return known.first == unit; });
    if (found == kUnits.end())
        reader.lacks("unit");
    else
        row.unit = found->second;
    for (const JsonValue& cell : reader.array(object, "columns"))
        row.cells.push_back(read_cell(reader, cell));
    if (row.cells.size() != columns) reader.lacks(key);
    return row;
}

BenchReport read_report(Reader& reader, const JsonValue& root) {
    BenchReport report;
    report.date = reader.text(root, "date");
    report.title = reader.text(root, "title");
    report.host = reader.pairs(root, "host");
    const JsonValue& settings = reader.find(root, "settings", Kind::Object);
    report.runs = reader.number(settings, "runs");
    report.parallel = reader.number(settings, "parallel");
    report.signal = reader.number(root, "interrupted_by");
    for (const JsonValue& column : reader.array(root, "columns"))
        report.columns.push_back({.name = reader.text(column, "name"),
                                  .kind = reader.text(column, "kind"),
                                  .parameters = reader.pairs(column, "parameters"),
                                  .failures = reader.number(column, "failures")});
    if (report.columns.empty()) reader.lacks("columns");
    const JsonValue& summary = reader.find(root, "summary", Kind::Object);
    for (std::size_t i = 0; i < summary.items.size(); ++i)
        report.rows.push_back(read_row(reader, summary.names[i], summary.items[i], report.columns.size()));
    for (const JsonValue& warning : reader.array(root, "warnings"))
        report.warnings.push_back(visible(warning.text));
    return report;
}

}  // namespace

std::string_view BenchReport::fact(std::string_view what) const {
    for (const auto& [known, value] : host) {
        if (known == what) return value;
    }
    return {};
}

Result<BenchReport> parse_report(const std::string& file, std::string_view text) {
    Reader reader(file);
    // The single runs are most of a report.
    const JsonReading reading = read_json(text, "runs");
    if (!reading.value) {
        const bool is_cut = text.starts_with('{') && reading.stopped_at == text.size();
        if (is_cut)
            return fail(reader
                            .error(fmt::format("the report is cut off: it ends in the middle, after {} bytes",
                                               text.size()))
                            .hint("copy the whole file, or measure again"));
        return fail(
            reader.error("the file is not JSON").hint("mayfly bench boot --json FILE writes reports"));
    }
    const JsonValue& root = *reading.value;
    const std::string tool = root.find("tool") != nullptr ? reader.text(root, "tool") : "";
    if (tool != kBenchTool)
        return fail(reader.error(fmt::format("the file is not a report of `{}`{}", kBenchTool,
                                             tool.empty() ? "" : ", but of `" + tool + "`")));
    const u64 version = reader.number(root, "version");
    if (version != kBenchFormat)
        return fail(reader
                        .error(fmt::format("the report has format version {}; this mayfly merges version {}",
                                           version, kBenchFormat))
                        .hint("measure again, or merge with the mayfly that measured"));
    BenchReport report = read_report(reader, root);
    if (!reader.problem().empty())
        return fail(
            reader
                .error(fmt::format("the report is damaged: '{}' is missing or is not what belongs there",
                                   reader.problem()))
                .hint("measure again"));
    report.file = file;
    return report;
}

}  // namespace mayfly
