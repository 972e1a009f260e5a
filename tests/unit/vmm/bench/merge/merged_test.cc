// SPDX-License-Identifier: Apache-2.0
// Reports beside each other, and those that are refused.
#include "vmm/bench/merge/merged.h"

#include <algorithm>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "vmm/bench/results/document.h"

using namespace mayfly;

namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kNasty = "<b>&\"'\x01";

/// As `mayfly bench boot` writes them: by its own writer.
Json report(u64 shortest_ns, u32 columns = 1) {
    BenchPlan plan;
    BenchResult result;
    plan.runs = 3;
    for (u32 i = 0; i < columns; ++i) {
        plan.columns.push_back(
            {Column::Kind::Mayfly, i == 0 ? "mayfly" : "other", "mayfly", {"mayfly", "boot"}});
        result.columns.push_back({.status = 0});
        for (u32 round = 0; round < plan.runs; ++round) {
            Run run;
            run.column = i;
            run.round = round;
            run.is_good = true;
            run.exit_ns = shortest_ns * (round + 1);
            run.moments = {{"vm_created", 10}, {"first_kvm_run", shortest_ns / 2}};
            result.runs.push_back(run);
        }
    }
    const Document document{plan,
                            result,
                            figures_of(plan, result),
                            "repeat",
                            "mayfly boot x",
                            "today",
                            {{"processor", "Fast Processor 9000"}, {"KVM", "VMX"}, {"kernel", kNasty}}};
    return Json::parse(bench_json(document));
}

BenchReport parsed(const std::string& file, const Json& json) {
    Result<BenchReport> result = parse_report(file, json.dump());
    REQUIRE(result);
    return *result;
}

MergedReport merged(std::vector<BenchReport> reports) {
    Result<MergedReport> result = merge_reports(std::move(reports));
    REQUIRE(result);
    return *result;
}

std::string why_refused(const Json& json) {
    const Result<BenchReport> result = parse_report("dir/one.json", json.dump());
    REQUIRE_FALSE(result);
    return result.error().message();
}

std::string why_not_merged(std::vector<BenchReport> reports) {
    const Result<MergedReport> result = merge_reports(std::move(reports));
    REQUIRE_FALSE(result);
    return result.error().message();
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

const MergedRow& row_of(const MergedReport& report, std::string_view key, std::size_t column = 0) {
    for (const MergedRow& row : report.rows) {
        if (row.key == key && row.column == column) return row;
    }
    FAIL("no row " << key);
    return report.rows.front();
}

/// In characters.
std::size_t widest_line(const std::string& text) {
    std::size_t widest = 0;
    std::size_t width = 0;
    for (const char c : text) {
        if (c == '\n')
            width = 0;
        else if ((static_cast<unsigned char>(c) & 0xc0) != 0x80)
            widest = std::max(widest, ++width);
    }
    return widest;
}

}  // namespace

TEST_CASE("each report is a column with its range, and nothing is averaged", "[merge]") {
    const MergedReport both =
        merged({parsed("a.json", report(1'000'000)), parsed("b/c.json", report(2'000'000))});
    const MergedRow& row = row_of(both, "exec_to_exit");
    REQUIRE(row.cells.size() == 2);
    CHECK(row.label == "exec -> exit");
    CHECK(row.cells[0].summary->min == 1'000'000);
    CHECK(row.cells[0].summary->p50 == 2'000'000);
    CHECK(row.cells[0].summary->max == 3'000'000);
    CHECK(row.cells[0].summary->count == 3);
    CHECK(row.cells[1].summary->max == 6'000'000);
    CHECK(both.reports[1].name == "c");
    CHECK(row_of(both, "exec_to_vm_created").is_step);
    CHECK_FALSE(row_of(both, "exec_to_first_instruction").is_step);
}

TEST_CASE("the table has the facts above the figures and fits 80 columns", "[merge]") {
    std::vector<BenchReport> reports;
    for (const char* file : {"one.json", "two.json", "three.json", "four.json"})
        reports.push_back(parsed(file, report(1'000'000, 2)));
    reports[0].warnings = {std::string(200, 'w') + " \u00b5 " + std::string(100, 'x')};
    const std::string text = merged_text(merged(reports));
    CHECK(widest_line(text) <= 80);
    for (const char* part : {"one", "four", "Processor", "VMX", "today", "exec -> exit, mayfly",
                             "exec -> exit, other", "1.00 ms", "2.00 ms", "3.00 ms", "! one:"})
        CHECK(has(text, part));
    CHECK_FALSE(has(text, "vm created"));
}

TEST_CASE("what a report lacks is a dash, and no row without any figure is shown", "[merge]") {
    Json other = report(1'000'000);
    other["summary"].erase("exec_to_first_instruction");
    const MergedReport both = merged({parsed("a", report(1'000'000)), parsed("b", other)});
    CHECK_FALSE(row_of(both, "exec_to_first_instruction").cells[1].summary);
    CHECK(has(merged_text(both), "  median      500 us                           -\n"));
    CHECK_FALSE(has(merged_text(both), "peak memory"));
}

TEST_CASE("failures and interruptions are told with the report's name", "[merge]") {
    Json other = report(1'000'000);
    other["columns"][0]["failures"] = 2;
    other["interrupted_by"] = 15;
    other["warnings"] = {"it was hot"};
    const std::string text =
        merged_text(merged({parsed("a.json", report(1'000'000)), parsed("b.json", other)}));
    CHECK(has(text, "! b: mayfly FAILED: 2 of its runs"));
    CHECK(has(text, "! b: interrupted by signal 15"));
    CHECK(has(text, "! b: it was hot"));
    CHECK_FALSE(has(text, "! a:"));
}

TEST_CASE("the merged JSON has every report's figures", "[merge]") {
    const Json root = Json::parse(
        merged_json(merged({parsed("a.json", report(1'000, 2)), parsed("b.json", report(2'000, 2))})));
    CHECK(root["tool"] == "mayfly bench merge");
    CHECK(root["version"] == 1);
    CHECK(root["title"] == "mayfly boot x");
    CHECK(root["reports"][1]["host"]["KVM"] == "VMX");
    CHECK(root["columns"][1]["failures"] == Json({0, 0}));
    const Json& cells = root["summary"]["exec_to_exit"]["columns"];
    CHECK(root["summary"]["exec_to_exit"]["unit"] == "ns");
    CHECK(cells[1][1] ==
          Json({{"n", 3}, {"min", 2000}, {"p50", 4000}, {"p90", 6000}, {"p99", 6000}, {"max", 6000}}));
    CHECK(root["summary"].contains("exec_to_vm_created"));
}

TEST_CASE("the page escapes what reports say", "[merge]") {
    Json nasty = report(1'000);
    nasty["title"] = kNasty;
    nasty["columns"][0]["name"] = kNasty;
    const std::string page = merged_html(merged({parsed("<i>.json", nasty), parsed("b.json", nasty)}));
    CHECK(has(page, "&lt;b&gt;&amp;&quot;&#39;"));
    CHECK(has(page, "&lt;i&gt;"));
    CHECK_FALSE(has(page, "<b>&"));
    CHECK_FALSE(has(page, "<i>"));
    CHECK(has(page, "<svg"));
}

TEST_CASE("files of one name are called by all of it, and none is taken twice", "[merge]") {
    const MergedReport both = merged({parsed("x/a.json", report(1'000)), parsed("y/a.json", report(1'000))});
    CHECK(both.reports[0].name == "x/a.json");
    CHECK(both.reports[1].name == "y/a.json");
    const BenchReport one = parsed("a.json", report(1'000));
    CHECK(why_not_merged({one, one}) == "a.json: the report is named twice");
}

TEST_CASE("reports of another command are refused by name", "[merge]") {
    const BenchReport first = parsed("a.json", report(1'000));
    Json other = report(1'000);
    other["title"] = "mayfly boot y";
    CHECK(has(why_not_merged({first, parsed("b.json", other)}),
              "b.json: the report measured mayfly boot y, and that of a.json mayfly boot x"));
    CHECK(has(why_not_merged({first, parsed("b.json", report(1'000, 2))}),
              "b.json: the report compared mayfly, other"));
    other = report(1'000);
    other["columns"][0]["parameters"]["M"] = "64M";
    CHECK(has(why_not_merged({first, parsed("b.json", other)}), "mayfly M=64M"));
    other = report(1'000);
    other["settings"]["parallel"] = 4;
    CHECK(has(why_not_merged({first, parsed("b.json", other)}), "--parallel 4"));
    other = report(1'000);
    other["summary"]["exec_to_exit"]["unit"] = "KiB";
    CHECK(has(why_not_merged({first, parsed("b.json", other)}),
              "b.json: the report has 'exec_to_exit' in another unit"));
}

TEST_CASE("what is not a whole report of this version is refused by name", "[merge]") {
    Json other = report(1'000);
    other["version"] = 3;
    CHECK(has(why_refused(other),
              "dir/one.json: the report has format version 3; this mayfly merges version 2"));
    other = report(1'000);
    other["tool"] = "hyperfine";
    CHECK(has(why_refused(other),
              "dir/one.json: the file is not a report of `mayfly bench boot`, but of `hyperfine`"));
    CHECK(has(why_refused(Json::object()), "is not a report of"));
    CHECK(has(why_refused(Json(1)), "is not a report of"));
    for (const char* text : {"", " \n",
                             "\x7f"
                             "ELF",
                             "{\"tool\" 1}"})
        CHECK(has(parse_report("f", text).error().message(), "f: the file is not JSON"));
}

TEST_CASE("a report that is cut anywhere is said to be cut", "[merge]") {
    const std::string whole = report(1'000).dump(1);
    for (std::size_t size = 1; size < whole.size(); size += 7)
        CHECK(has(parse_report("f", whole.substr(0, size)).error().message(), "f: the report is cut off"));
}

TEST_CASE("whatever is missing or of another type is named", "[merge]") {
    const Json good = report(1'000);
    for (const char* key :
         {"date", "title", "host", "settings", "columns", "summary", "warnings", "interrupted_by"}) {
        for (const Json& wrong : {Json(nullptr), Json(-1), Json({1, 2}), Json({{"x", 1}})}) {
            if (std::string_view(key) == "warnings" && wrong.is_array()) continue;
            Json other = good;
            other[key] = wrong;
            CHECK(has(why_refused(other), "dir/one.json: the report is damaged"));
        }
        Json other = good;
        other.erase(key);
        CHECK(has(why_refused(other), std::string("'") + key + "' is missing"));
    }
    for (const char* key : {"n", "min", "p50", "p90", "p99", "max"}) {
        Json other = good;
        other["summary"]["exec_to_exit"]["columns"][0][key] = "many";
        CHECK(has(why_refused(other), std::string("'") + key + "' is missing"));
    }
    Json other = good;
    other["summary"]["exec_to_exit"]["columns"][0]["min"] = 1'000'000;
    CHECK(has(why_refused(other), "'min to max'"));
    other = good;
    other["summary"]["exec_to_exit"]["columns"].push_back(nullptr);
    CHECK(has(why_refused(other), "'exec_to_exit'"));
    other = good;
    other["columns"] = Json::array();
    CHECK(has(why_refused(other), "'columns'"));
}
