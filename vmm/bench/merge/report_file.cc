// SPDX-License-Identifier: Apache-2.0
#include "vmm/bench/merge/report_file.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "vmm/bench/results/document.h"
#include "vmm/watch/plain_text.h"

namespace mayfly {

namespace {

using Json = nlohmann::ordered_json;
using Kind = nlohmann::detail::value_t;

/// A report needs six levels, and a few thousand values and names besides its single runs. For those of one
/// object or array the parser takes time with the square of their number.
constexpr u32 kDepthMax = 32;
constexpr u32 kItemsMax = 1 << 12;
constexpr u32 kValuesMax = 1 << 16;

constexpr std::array kUnits{std::pair<std::string_view, Unit>{"ns", Unit::Nanoseconds},
                            std::pair<std::string_view, Unit>{"KiB", Unit::Kibibytes},
                            std::pair<std::string_view, Unit>{"count", Unit::Count}};

/// A text on its way through nlohmann's parser, which cannot be told to stop: behind a limit the text ends.
class JsonText {
  public:
    explicit JsonText(std::string_view text) : text_(text) {}

    /// Without the single runs, which are most of a report. Discarded where it is not JSON or beyond a limit.
    Json parse() {
        constexpr bool kThrows = false;
        return Json::parse(
            Byte{this}, Byte{},
            [this](int depth, Json::parse_event_t event, Json& parsed) { return take(depth, event, parsed); },
            kThrows);
    }
    /// The limit that it is beyond: "nests deeper than 32 levels"; or empty.
    [[nodiscard]] const std::string& excess() const { return excess_; }
    /// Whether the parser asked for more than there is.
    [[nodiscard]] bool is_too_short() const { return is_too_short_; }

  private:
    /// A default one is the end.
    struct Byte {
        using iterator_category = std::input_iterator_tag;
        using value_type = char;
        using difference_type = std::ptrdiff_t;
        using pointer = const char*;
        using reference = const char&;

        JsonText* of = nullptr;

        reference operator*() const { return of->text_[of->at_]; }
        Byte& operator++() {
            ++of->at_;
            return *this;
        }
        bool operator!=(const Byte&) const { return of->has_more(); }
    };

    bool has_more() {
        is_too_short_ = at_ == text_.size();
        return !is_too_short_ && excess_.empty();
    }
    /// Whether `parsed`, or what begins, is to be kept.
    bool take(int depth, Json::parse_event_t event, const Json& parsed) {
        using Event = Json::parse_event_t;
        if (event == Event::object_end || event == Event::array_end) return true;
        const bool is_top_name = event == Event::key && depth == 1;
        if (is_top_name) is_in_runs_ = parsed == "runs";
        if (event != Event::key && event != Event::value) begin(static_cast<u32>(depth));
        if (!is_in_runs_) count(static_cast<u32>(depth));
        return !is_top_name || !is_in_runs_;
    }
    /// An object or array within `depth` others.
    void begin(u32 depth) {
        if (depth < kDepthMax)
            items_[depth + 1] = 0;
        else
            excess_ = fmt::format("nests deeper than {} levels", kDepthMax);
    }
    void count(u32 depth) {
        if (!excess_.empty()) return;
        if (++values_ > kValuesMax)
            excess_ = fmt::format("has more than {} values and names besides its runs", kValuesMax);
        else if (++items_[depth] > kItemsMax)
            excess_ = fmt::format("has more than {} values and names in one object or array", kItemsMax);
    }

    const std::string_view text_;
    std::size_t at_ = 0;
    u32 values_ = 0;
    std::array<u32, kDepthMax + 1> items_{};  ///< of the object or array that is open in so many others
    bool is_in_runs_ = false;
    bool is_too_short_ = false;
    std::string excess_;
};

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
    const Json& find(const Json& object, std::string_view key, Kind kind) {
        const auto found = object.find(key);
        if (found != object.end() && found->type() == kind) return *found;
        lacks(key);
        return empty_;
    }
    std::string text(const Json& object, std::string_view key) {
        return text_of(find(object, key, Kind::string), key);
    }
    /// Whole, from 0 to 2^64 - 1: the parser makes others of another kind.
    u64 number(const Json& object, std::string_view key) {
        const Json& found = find(object, key, Kind::number_unsigned);
        return found.is_null() ? 0 : found.get<u64>();
    }
    const Json& array(const Json& object, std::string_view key) { return find(object, key, Kind::array); }
    std::vector<std::pair<std::string, std::string>> pairs(const Json& object, std::string_view key) {
        std::vector<std::pair<std::string, std::string>> list;
        for (const auto& [name, value] : find(object, key, Kind::object).items())
            list.emplace_back(visible(name), text_of(value, key));
        return list;
    }
    /// `value` is what `key` is or has.
    std::string text_of(const Json& value, std::string_view key) {
        if (value.is_string()) return visible(value.get_ref<const std::string&>());
        lacks(key);
        return {};
    }

  private:
    const std::string& file_;
    std::string problem_;
    const Json empty_;
};

ReportCell read_cell(Reader& reader, const Json& object) {
    ReportCell cell;
    if (object.is_null()) return cell;
    if (object.contains("missing")) cell.missing = reader.text(object, "missing");
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

ReportRow read_row(Reader& reader, const std::string& key, const Json& object, std::size_t columns) {
    ReportRow row{.key = visible(key)};
    const std::string unit = reader.text(object, "unit");
    const auto found =
        std::find_if(kUnits.begin(), kUnits.end(), [&](const auto& known) { return known.first == unit; });
    if (found == kUnits.end())
        reader.lacks("unit");
    else
        row.unit = found->second;
    for (const Json& cell : reader.array(object, "columns")) row.cells.push_back(read_cell(reader, cell));
    if (row.cells.size() != columns) reader.lacks(key);
    return row;
}

BenchReport read_report(Reader& reader, const Json& root) {
    BenchReport report;
    report.date = reader.text(root, "date");
    report.title = reader.text(root, "title");
    report.host = reader.pairs(root, "host");
    const Json& settings = reader.find(root, "settings", Kind::object);
    report.runs = reader.number(settings, "runs");
    report.parallel = reader.number(settings, "parallel");
    report.signal = reader.number(root, "interrupted_by");
    for (const Json& column : reader.array(root, "columns"))
        report.columns.push_back({.name = reader.text(column, "name"),
                                  .kind = reader.text(column, "kind"),
                                  .parameters = reader.pairs(column, "parameters"),
                                  .failures = reader.number(column, "failures")});
    if (report.columns.empty()) reader.lacks("columns");
    const Json& summary = reader.find(root, "summary", Kind::object);
    for (const auto& [key, row] : summary.items())
        report.rows.push_back(read_row(reader, key, row, report.columns.size()));
    for (const Json& warning : reader.array(root, "warnings"))
        report.warnings.push_back(reader.text_of(warning, "warnings"));
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
    JsonText json(text);
    const Json root = json.parse();
    if (!json.excess().empty())
        return fail(reader.error(fmt::format("the file is not a report: it {}", json.excess()))
                        .hint("mayfly bench boot --json FILE writes reports"));
    if (root.is_discarded()) {
        if (text.starts_with('{') && json.is_too_short())
            return fail(reader
                            .error(fmt::format("the report is cut off: it ends in the middle, after {} bytes",
                                               text.size()))
                            .hint("copy the whole file, or measure again"));
        return fail(
            reader.error("the file is not JSON").hint("mayfly bench boot --json FILE writes reports"));
    }
    const std::string tool = root.contains("tool") ? reader.text(root, "tool") : "";
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
