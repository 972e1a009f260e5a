// SPDX-License-Identifier: Apache-2.0
// The merged reports as JSON. Times are nanoseconds, memory is KiB.
//
//   tool, version 1       what wrote it, and the version of this layout
//   title                 the `mayfly boot` that was measured
//   reports[]             name, file, date, host{} (facts, as text), runs, parallel, interrupted_by
//   columns[]             name, kind, parameters{}; failures[], one for each report
//   summary{quantity}     unit ("ns", "KiB", "count"); columns[][], one for each report of each column:
//                         n, min, p50, p90, p99, max; or null
//   warnings[]            each begins with its report's name
#include <nlohmann/json.hpp>

#include "vmm/bench/merge/merged.h"
#include "vmm/bench/results/document.h"

namespace mayfly {

namespace {

using Json = nlohmann::ordered_json;

Json pairs(const std::vector<std::pair<std::string, std::string>>& list) {
    Json object = Json::object();
    for (const auto& [name, value] : list) object[name] = value;
    return object;
}

Json report_json(const BenchReport& report) {
    Json object;
    object["name"] = report.name;
    object["file"] = report.file;
    object["date"] = report.date;
    object["host"] = pairs(report.host);
    object["runs"] = report.runs;
    object["parallel"] = report.parallel;
    object["interrupted_by"] = report.signal;
    return object;
}

Json cell_json(const ReportCell& cell) {
    Json object;
    if (!cell.summary) return object;
    object["n"] = cell.summary->count;
    object["min"] = cell.summary->min;
    object["p50"] = cell.summary->p50;
    object["p90"] = cell.summary->p90;
    object["p99"] = cell.summary->p99;
    object["max"] = cell.summary->max;
    return object;
}

}  // namespace

std::string merged_json(const MergedReport& merged) {
    const std::vector<ReportColumn>& columns = merged.reports.front().columns;
    Json root;
    root["tool"] = "mayfly bench merge";
    root["version"] = u64{1};
    root["title"] = merged.reports.front().title;
    root["reports"] = Json::array();
    for (const BenchReport& report : merged.reports) root["reports"].push_back(report_json(report));
    root["columns"] = Json::array();
    for (std::size_t i = 0; i < columns.size(); ++i) {
        Json column;
        column["name"] = columns[i].name;
        column["kind"] = columns[i].kind;
        column["parameters"] = pairs(columns[i].parameters);
        column["failures"] = Json::array();
        for (const BenchReport& report : merged.reports)
            column["failures"].push_back(report.columns[i].failures);
        root["columns"].push_back(std::move(column));
    }
    root["summary"] = Json::object();
    for (const MergedRow& row : merged.rows) {
        Json& quantity = root["summary"][row.key];
        if (quantity.is_null()) {
            quantity["unit"] = unit_name(row.unit);
            quantity["columns"] = Json::array();
            for (std::size_t i = 0; i < columns.size(); ++i) quantity["columns"].push_back(Json::array());
        }
        for (const ReportCell& cell : row.cells) quantity["columns"][row.column].push_back(cell_json(cell));
    }
    root["warnings"] = Json::array();
    for (const std::string& warning : merged.warnings) root["warnings"].push_back(warning);
    return root.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace mayfly
