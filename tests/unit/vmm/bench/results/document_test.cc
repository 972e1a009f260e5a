// SPDX-License-Identifier: Apache-2.0
// Figures of made-up runs, and the escapes of each format.
#include "vmm/bench/results/document.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "vmm/text/layout.h"

using namespace mayfly;

namespace {

constexpr const char* kNasty = "<b>&\"'\",x\n=1\x01";

Run timed(std::size_t column, u32 round, u64 exit_ns) {
    Run run;
    run.column = column;
    run.round = round;
    run.is_good = true;
    run.exit_ns = exit_ns;
    return run;
}

struct Bench {
    BenchPlan plan;
    BenchResult result;

    Bench() {
        plan.columns.push_back(
            {Column::Kind::Mayfly, "mayfly", "/proc/self/exe", {"mayfly", "boot", kNasty}});
        plan.columns.push_back({Column::Kind::Command, kNasty, "/bin/true", {"true", kNasty}});
        plan.runs = 3;
        result.columns.resize(2);
        result.columns[0].status = 0;
        result.columns[1].status = 0;
        for (u32 round = 0; round < 3; ++round) {
            Run own = timed(0, round, 2'000'000 + round * 1000);
            own.moments = {
                {"main", 100'000}, {"first_kvm_run", 900'000 + round}, {"guest mark 0x1", 950'000}};
            result.runs.push_back(own);
            result.runs.push_back(timed(1, round, 6'000'000 + round * 1000));
        }
    }

    [[nodiscard]] Document document() const {
        return {plan, result, figures_of(plan, result), kNasty, kNasty, "today", {{"host", kNasty}}};
    }
};

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

const Row& row_of(const Figures& figures, std::string_view key) {
    for (const Row& row : figures.rows) {
        if (row.key == key) return row;
    }
    FAIL("no row " << key);
    return figures.rows.front();
}

}  // namespace

TEST_CASE("figures have a row for each moment and a ratio to the first column", "[document]") {
    const Bench bench;
    const Figures figures = figures_of(bench.plan, bench.result);
    CHECK(row_of(figures, "exec_to_first_instruction").cells[0].summary->p50 == 900'001);
    CHECK_FALSE(row_of(figures, "exec_to_first_instruction").cells[1].summary);
    CHECK(row_of(figures, "exec_to_guest_mark_0x1").cells[0].summary->count == 3);
    CHECK(row_of(figures, "exec_to_exit").cells[1].summary->p50 == 6'001'000);
    CHECK(has(bench_text(bench.document(), 80), "3.00 x"));
}

TEST_CASE("a failed run counts in no figure, and is reported", "[document]") {
    Bench bench;
    Run failed = timed(0, 3, 1);
    failed.is_good = false;
    failed.status = 3;
    failed.error_tail = "it broke\nbadly\n";
    bench.result.runs.push_back(failed);
    bench.result.columns[0].failures = 1;
    const std::string text = bench_text(bench.document(), 80);
    CHECK(row_of(figures_of(bench.plan, bench.result), "exec_to_exit").cells[0].summary->min == 2'000'000);
    CHECK(has(text, "! mayfly FAILED: 1 of its 4 runs"));
    CHECK(has(text, "status 3: it broke|badly"));
}

TEST_CASE("a column with a failure is marked everywhere, and not compared", "[document]") {
    for (const std::size_t column : {0u, 1u}) {
        Bench bench;
        bench.plan.columns[1].name = "peer";
        Run failed = timed(column, 3, 1);
        failed.is_good = false;
        failed.status = 3;
        bench.result.runs.push_back(failed);
        bench.result.columns[column].failures = 1;
        const Document document = bench.document();
        const Row& row = row_of(document.figures, "exec_to_exit");
        CHECK(row.cells[column].summary);
        CHECK_FALSE(row.cells[column].ratio);
        CHECK_FALSE(row.cells[1].ratio);
        CHECK(has(bench_text(document, 80), "failed\n"));
        CHECK_FALSE(has(bench_text(document, 80), " x\n"));
        CHECK(has(bench_markdown(document), "| failed |"));
        CHECK_FALSE(has(bench_markdown(document), " x |"));
        CHECK(has(bench_html(document), "<span class=\"chip\">failed</span>"));
        CHECK_FALSE(has(bench_html(document), "\u00a0\u00d7"));
        const nlohmann::json root = nlohmann::json::parse(bench_json(document));
        CHECK(root["columns"][column]["failed"] == true);
        CHECK(root["columns"][1 - column]["failed"] == false);
        CHECK(root["summary"]["exec_to_exit"]["columns"][1]["ratio_p50"].is_null());
        const char* row_of_runs[] = {"mayfly,timed,0,1,status 0,1,", "peer,timed,0,1,status 0,1,"};
        const char* row_of_means[] = {"mayfly,mean,,0,,1,", "peer,mean,,0,,1,"};
        CHECK(has(bench_csv(document), row_of_runs[column]));
        CHECK(has(bench_csv(document), row_of_means[column]));
        CHECK_FALSE(has(bench_csv(document), row_of_runs[1 - column]));
    }
}

TEST_CASE("a column without a good run shows its failure in place of its time", "[document]") {
    Bench bench;
    for (Run& run : bench.result.runs) {
        run.is_good = run.column == 0;
        run.status = run.column == 0 ? 0 : 4;
    }
    bench.result.columns[1] = {};
    bench.result.columns[1].failures = 3;
    const Document document = bench.document();
    CHECK(has(bench_text(document, 80), "  failed: status 4\n"));
    CHECK(has(bench_text(document, 80), "status 4 (if that is as it should be: --expect-status 4)"));
    CHECK(has(bench_markdown(document), "| failed: status 4 |"));
    CHECK(has(bench_html(document), "failed: status 4"));
    const nlohmann::json root = nlohmann::json::parse(bench_json(document));
    CHECK(root["summary"]["exec_to_exit"]["columns"][1]["missing"] == "failed: status 4");
    CHECK(root["summary"]["exec_to_exit"]["columns"][1]["p50"].is_null());
}

TEST_CASE("a command's uncounted values are not 0", "[document]") {
    Bench bench;
    for (const std::size_t column : {0u, 1u}) {
        Run counting = timed(column, 0, 1);
        counting.kind = RunKind::Counting;
        counting.counts.peak_memory_kib = 5;
        if (column == 0) counting.counts.stats = BootStats{20, {}, {}};
        bench.result.runs.push_back(counting);
    }
    bench.result.why_no_tracepoints = "no";
    const Document document = bench.document();
    const Row& exits = row_of(document.figures, "kvm_exits");
    CHECK(exits.cells[0].missing == "not permitted");
    CHECK_FALSE(exits.cells[1].summary);
    CHECK(exits.cells[1].missing == "not counted");
    const Row& returns = row_of(document.figures, "returns_to_user_space");
    CHECK(returns.cells[1].missing == "not counted");
    CHECK_FALSE(returns.cells[1].ratio);
    CHECK(has(bench_text(document, 80), "  not counted\n"));
    CHECK(has(bench_markdown(document), "| not counted |"));
    const nlohmann::json root = nlohmann::json::parse(bench_json(document));
    CHECK(root["summary"]["returns_to_user_space"]["columns"][1]["p50"].is_null());
    CHECK(root["runs"][7]["exits"]["kvm_userspace_exit"].is_null());
    CHECK(root["runs"][7]["exits"]["returns_to_user_space"].is_null());
    CHECK(root["runs"][6]["exits"]["returns_to_user_space"] == 20);
    CHECK(has(bench_csv(document), ",counting,0,1,status 0,0,0,1,0,0,0,0,5,,,,,,\r\n"));
}

TEST_CASE("means and deviations are in every document", "[document]") {
    const Bench bench;
    const Document document = bench.document();
    CHECK(has(bench_text(document, 80), "2.00 ms ± 1.00 us"));
    CHECK(has(bench_markdown(document), "| mean ± σ | min |"));
    CHECK(has(bench_markdown(document), " 2.00 ms ± 1.00 us |"));
    CHECK(has(bench_html(document), "\u00b5s"));
    CHECK(has(bench_html(document), "mean ± σ"));
    const nlohmann::json root = nlohmann::json::parse(bench_json(document));
    const nlohmann::json& cell = root["summary"]["exec_to_exit"]["columns"][0];
    CHECK(cell["mean"].get<double>() == Approx(2'001'000));
    CHECK(cell["stddev"].get<double>() == Approx(1000));
    CHECK(has(bench_csv(document), "mayfly,mean,,1,,0,,2001000.00,0.00,"));
    CHECK(has(bench_csv(document), "mayfly,stddev,,1,,0,,1000.00,0.00,"));
}

TEST_CASE("Markdown's own characters are escaped", "[document]") {
    Bench bench;
    bench.plan.columns[1].name = "a|b*_`<x>\n";
    CHECK(has(bench_markdown(bench.document()), "| a\\|b\\*\\_\\`\\<x\\>  |"));
}

TEST_CASE("the table fits, whatever the names", "[document]") {
    Bench bench;
    bench.plan.columns[1].name = std::string(9, 'a') + std::string(20, 'b') + "\u00b5" + std::string(18, 'c');
    for (const std::size_t columns : {80u, 40u}) {
        const std::string text = bench_text(bench.document(), columns);
        const std::string_view table = std::string_view(text).substr(0, text.find("\n\n"));
        CHECK(has(text, "\n mayfly\n") == (columns == 40));
        for (std::size_t at = 0; at < table.size();) {
            const std::string_view line = table.substr(at, table.find('\n', at) - at);
            INFO(line);
            CHECK((text_width(line) <= columns || line.find(' ', 1) == std::string_view::npos));
            at += line.size() + 1;
        }
    }
}

TEST_CASE("CSV quotes as RFC 4180 requires", "[document]") {
    CHECK(csv_field("plain text") == "plain text");
    CHECK(csv_field("a,b") == "\"a,b\"");
    CHECK(csv_field("a\"b") == "\"a\"\"b\"");
    CHECK(csv_field("a\nb") == "\"a\nb\"");
    const std::string csv = bench_csv(Bench().document());
    CHECK(has(csv, "\"<b>&\"\"'\"\",x\n=1\x01\","));
    CHECK(has(csv, "\r\n"));
    CHECK(has(csv, ",first_kvm_run ns,"));
}

TEST_CASE("HTML escapes all text from outside", "[document]") {
    CHECK(html_escape("<a href=\"x\" b='y'>&\x01") == "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp; ");
    const std::string page = bench_html(Bench().document());
    CHECK_FALSE(has(page, "<b>&"));
    CHECK_FALSE(has(page, "\x01"));
    CHECK(has(page, "&lt;b&gt;&amp;&quot;&#39;&quot;,x"));
    CHECK_FALSE(has(page, "<script"));
    CHECK(has(page, "prefers-color-scheme:dark"));
}

TEST_CASE("JSON parses, with every run and the summary, whatever the words are", "[document]") {
    Bench bench;
    bench.plan.columns[0].arguments.emplace_back("not UTF-8: \xff\xfe");
    const nlohmann::json root = nlohmann::json::parse(bench_json(bench.document()));
    CHECK(root["runs"].size() == 6);
    CHECK(root["summary"]["exec_to_exit"]["columns"][1]["p50"] == 6'001'000);
    CHECK(root["summary"]["exec_to_exit"]["columns"][1]["ratio_p50"].get<double>() ==
          Approx(6001.0 / 2001.0));
    CHECK(root["columns"][1]["name"] == kNasty);
    CHECK(root["runs"][0]["moments"]["first_kvm_run"] == 900'000);
    CHECK(root["settings"]["runs"] == 3);
}

TEST_CASE("a benchmark whose runs all failed still prints", "[document]") {
    Bench bench;
    for (Run& run : bench.result.runs) run.is_good = false;
    const Document document = bench.document();
    CHECK(has(bench_html(document), "no result"));
    CHECK_FALSE(has(bench_html(document), "<svg"));
    CHECK(has(bench_text(document, 80), "failed: status 0"));
    CHECK(nlohmann::json::parse(bench_json(document))["runs"].size() == 6);
}
