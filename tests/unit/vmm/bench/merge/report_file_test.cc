// SPDX-License-Identifier: Apache-2.0
// Reports that are read, and texts that are refused.
#include "vmm/bench/merge/report_file.h"

#include <catch2/catch.hpp>

#include "tests/unit/vmm/bench/merge/bench_reports.h"
#include "vmm/bench/merge/merged.h"

using namespace mayfly;

namespace {

std::string why_text_refused(const std::string& text) {
    const Result<BenchReport> result = parse_report("dir/one.json", text);
    REQUIRE_FALSE(result);
    return result.error().message();
}

std::string why_refused(const Json& json) { return why_text_refused(json.dump()); }

/// All that is read from the text, or the reason why it is refused.
std::string meaning(const std::string& text) {
    Result<BenchReport> result = parse_report("f", text);
    if (!result) return result.error().message();
    Result<MergedReport> merged = merge_reports({*result});
    return merged ? merged_json(*merged) : merged.error().message();
}

std::string repeated(std::string_view what, std::size_t times) {
    std::string text;
    text.reserve(what.size() * times);
    for (std::size_t i = 0; i < times; ++i) text += what;
    return text;
}

/// A good report's text with another member before its own.
std::string with_member(const std::string& member) {
    return "{" + member + "," + report(1'000).dump().substr(1);
}

}  // namespace

TEST_CASE("a file that is not a whole report of this version is refused by name", "[merge]") {
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
    for (std::size_t size = 1; size < whole.size(); ++size)
        CHECK(
            has(parse_report("f", whole.substr(0, size)).error().message(),
                "f: the report is cut off: it ends in the middle, after " + std::to_string(size) + " bytes"));
}

TEST_CASE("a text with any byte changed is judged as by a parser that keeps everything", "[merge]") {
    constexpr bool kThrows = false;
    Json one = report(1'000);
    one["runs"].erase(1);
    for (const char* key : {"repeat", "exits", "notes"}) one.erase(key);
    one["summary"] = {{"exec_to_exit", one["summary"]["exec_to_exit"]}};
    const std::string whole = one.dump();
    u32 refused = 0;
    for (std::size_t at = 0; at < whole.size(); ++at) {
        for (const char c : std::string_view("\"\\{}[]:,0.e\x01\xff")) {
            std::string text = whole;
            text[at] = c;
            const Json judged = Json::parse(text, nullptr, kThrows);
            if (judged.is_discarded()) {
                const std::string why = why_text_refused(text);
                const bool is_told = has(why, "is not JSON") || has(why, "is cut off");
                CHECK(is_told);
                ++refused;
            } else {
                const bool is_same = meaning(text) == meaning(judged.dump());
                CHECK(is_same);
            }
        }
    }
    CHECK(refused > whole.size());
}

TEST_CASE("the outermost object's single runs are checked and left out, and no others", "[merge]") {
    Json other = report(1'000);
    const std::string good = meaning(other.dump());
    REQUIRE(has(good, "exec_to_exit"));
    for (const Json& runs : {Json(nullptr), Json(5), Json({{"columns", {1, 2}}}), Json({1, {{"runs", 2}}})}) {
        other["runs"] = runs;
        CHECK(meaning(other.dump()) == good);
    }
    CHECK(has(meaning(with_member(R"("runs": [1, {])")), "f: the file is not JSON"));
    other["host"]["runs"] = "many";
    CHECK(has(meaning(other.dump()), R"("runs": "many")"));
    other["settings"].erase("runs");
    CHECK(has(why_refused(other), "'runs' is missing"));
}

TEST_CASE("unknown members are ignored, and the last of several of one name counts", "[merge]") {
    const std::string good = meaning(report(1'000).dump());
    CHECK(meaning(with_member(R"("new": {"x": [1.5, -2, null]})")) == good);
    CHECK(meaning(with_member(R"("title": 5)")) == good);
}

TEST_CASE("numbers are whole and end at 64 bits", "[merge]") {
    Json other = report(1'000);
    other["interrupted_by"] = "HERE";
    const auto with = [text = other.dump()](const std::string& number) {
        std::string changed = text;
        return changed.replace(changed.find("\"HERE\""), 6, number);
    };
    const Result<BenchReport> most = parse_report("f", with("18446744073709551615"));
    REQUIRE(most);
    CHECK(most->signal == ~u64{0});
    for (const char* number : {"18446744073709551616", "-1", "-0", "1.0", "1e3", "true", "\"1\"", "null"})
        CHECK(
            has(why_text_refused(with(number)), "'interrupted_by' is missing or is not what belongs there"));
    CHECK(has(why_text_refused(with("1e999")), "is not JSON"));
}

TEST_CASE("depth is limited, and deeper values are not read", "[merge]") {
    const std::string good = meaning(report(1'000).dump());
    for (const char* member : {"\"new\":", "\"runs\":"}) {
        CHECK(meaning(with_member(member + repeated("[", 31) + repeated("]", 31))) == good);
        CHECK(has(meaning(with_member(member + repeated("[", 32) + repeated("]", 32))),
                  "f: the file is not a report: it nests deeper than 32 levels"));
    }
    constexpr std::size_t kTimes = 10'000'000;
    for (const char* bomb : {"[", "{\"a\":"})
        CHECK(has(meaning(repeated(bomb, kTimes)), "nests deeper than 32"));
    CHECK(has(meaning("{\"runs\":" + repeated("[", kTimes)), "nests deeper than 32"));
}

TEST_CASE("the number of values is limited, but not that of the single runs", "[merge]") {
    constexpr std::size_t kTimes = 1'000'000;
    const std::string good = meaning(report(1'000).dump());
    for (const char* value : {"0,", "{},", "[],", "{\"a\":0},"}) {
        const std::string many = "[" + repeated(value, kTimes) + "0]";
        CHECK(has(
            meaning(with_member("\"new\":" + many)),
            "f: the file is not a report: it has more than 4096 values and names in one object or array"));
        CHECK(meaning(with_member("\"runs\":" + many)) == good);
    }
    CHECK(has(meaning("{" + repeated("\"a\":0,", kTimes)), "has more than 4096 values"));
    const auto lists = [](std::size_t times) {
        return with_member("\"new\":[" + repeated("[" + repeated("0,", 4'000) + "0],", times) + "0]");
    };
    CHECK(meaning(lists(16)) == good);
    CHECK(has(meaning(lists(17)),
              "f: the file is not a report: it has more than 65536 values and names besides its runs"));
}

TEST_CASE("a member that is missing or of another type is named", "[merge]") {
    const Json good = report(1'000);
    for (const char* key :
         {"date", "title", "host", "settings", "columns", "summary", "warnings", "interrupted_by"}) {
        for (const Json& wrong : {Json(nullptr), Json(-1), Json({1, 2}), Json({{"x", 1}})}) {
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
