// SPDX-License-Identifier: Apache-2.0
// Reports beside each other, and reports that are refused.
#include "vmm/bench/merge/merged.h"

#include <algorithm>

#include <catch2/catch.hpp>

#include "tests/unit/vmm/bench/merge/bench_reports.h"

using namespace mayfly;

namespace {

MergedReport merged(std::vector<BenchReport> reports) {
    Result<MergedReport> result = merge_reports(std::move(reports));
    REQUIRE(result);
    return *result;
}

std::string why_not_merged(std::vector<BenchReport> reports) {
    const Result<MergedReport> result = merge_reports(std::move(reports));
    REQUIRE_FALSE(result);
    return result.error().message();
}

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

TEST_CASE("the table has the facts above the figures and fits its columns", "[merge]") {
    std::vector<BenchReport> reports;
    for (const char* file : {"one.json", "two.json", "three.json", "four.json"})
        reports.push_back(parsed(file, report(1'000'000, 2)));
    reports[0].warnings = {std::string(200, 'w') + " \u00b5 " + std::string(100, 'x')};
    for (const std::size_t columns : {std::size_t{24}, std::size_t{40}, std::size_t{60}})
        CHECK(widest_line(merged_text(merged(reports), columns)) <= columns);
    const std::string text = merged_text(merged(reports), 80);
    CHECK(widest_line(text) <= 80);
    for (const char* part : {"one", "four", "Processor", "VMX", "today", "exec -> exit, mayfly",
                             "exec -> exit, other", "1.00 ms", "2.00 ms", "3.00 ms", "! one:"})
        CHECK(has(text, part));
    CHECK_FALSE(has(text, "vm created"));
}

TEST_CASE("a missing figure is a dash, and a row without any figure is left out", "[merge]") {
    Json other = report(1'000'000);
    other["summary"].erase("exec_to_first_instruction");
    const MergedReport both = merged({parsed("a", report(1'000'000)), parsed("b", other)});
    CHECK_FALSE(row_of(both, "exec_to_first_instruction").cells[1].summary);
    CHECK(has(merged_text(both, 80), "  median      500 us                           -\n"));
    CHECK_FALSE(has(merged_text(both, 80), "peak memory"));
}

TEST_CASE("failures and interruptions are shown with the report's name", "[merge]") {
    Json other = report(1'000'000);
    other["columns"][0]["failures"] = 2;
    other["interrupted_by"] = 15;
    other["warnings"] = {"it was hot"};
    const std::string text =
        merged_text(merged({parsed("a.json", report(1'000'000)), parsed("b.json", other)}), 80);
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

TEST_CASE("the page escapes the reports' texts", "[merge]") {
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

TEST_CASE("files of the same name are told apart by their paths, and none is accepted twice", "[merge]") {
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
    other["columns"][0]["name"] = "old";
    CHECK(has(why_not_merged({first, parsed("b.json", other)}),
              "b.json: the report names its columns old, and that of a.json mayfly"));
    other["columns"][0]["parameters"]["M"] = "64M";
    CHECK(has(why_not_merged({first, parsed("b.json", other)}), "b.json: the report compared old M=64M"));
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
