// SPDX-License-Identifier: Apache-2.0
// What is JSON and what is not, against nlohmann's parser as well, and where a text stops being it.
#include "vmm/bench/merge/json_reader.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace mayfly;

namespace {

constexpr const char* kDocument = R"({"a": 1, "b": [true, false, null, -1.5e+3, 0, {"c": []}],)"
                                  R"( "runs": [{"x": "\ud83d\ude00"}], "runs2": "q"})";

bool is_json(std::string_view text) { return read_json(text, "runs").value.has_value(); }

std::string text_of(std::string_view json) {
    const JsonReading reading = read_json(json, "");
    REQUIRE(reading.value);
    CHECK(reading.value->kind == JsonValue::Kind::Text);
    return reading.value->text;
}

}  // namespace

TEST_CASE("members, elements and numbers are found by name and order", "[json]") {
    const JsonReading reading = read_json(kDocument, "");
    REQUIRE(reading.value);
    CHECK(reading.value->names == std::vector<std::string>{"a", "b", "runs", "runs2"});
    CHECK(reading.value->find("a")->number() == 1U);
    CHECK(reading.value->find("none") == nullptr);
    const std::vector<JsonValue>& list = reading.value->find("b")->items;
    REQUIRE(list.size() == 6);
    CHECK(list[0].kind == JsonValue::Kind::Boolean);
    CHECK(list[2].kind == JsonValue::Kind::Null);
    CHECK(list[3].text == "-1.5e+3");
    CHECK_FALSE(list[3].number());
    CHECK(list[4].number() == 0U);
    CHECK(list[5].find("c")->kind == JsonValue::Kind::Array);
}

TEST_CASE("whole numbers end at 64 bits", "[json]") {
    CHECK(read_json("18446744073709551615", "").value->number() == ~u64{0});
    for (const char* text : {"18446744073709551616", "-1", "1.0", "1e3", "\"1\"", "true"})
        CHECK_FALSE(read_json(text, "").value->number());
}

TEST_CASE("an unwanted member is left out at the top only, and is still checked", "[json]") {
    const JsonReading reading = read_json(R"({"runs": [1, {"y": 2}], "z": {"runs": 3}})", "runs");
    REQUIRE(reading.value);
    CHECK(reading.value->names == std::vector<std::string>{"z"});
    CHECK(reading.value->find("z")->find("runs")->number() == 3U);
    CHECK_FALSE(is_json(R"({"runs": [1, {]})"));
}

TEST_CASE("escapes are what they stand for", "[json]") {
    CHECK(text_of(R"("\"\\\/\b\f\n\r\t")") == "\"\\/\b\f\n\r\t");
    CHECK(text_of(R"("\u0041\u00b5\u2192\ud83d\ude00")") == "A\u00b5\u2192\U0001f600");
    for (const char* text :
         {R"("\x")", R"("\u12g4")", R"("\ud83d")", R"("\ude00")", R"("\ud83d\u0041")", "\"\n\""})
        CHECK_FALSE(is_json(text));
}

TEST_CASE("a text that is cut anywhere stops at its end", "[json]") {
    const std::string_view whole = kDocument;
    REQUIRE(is_json(whole));
    for (std::size_t size = 0; size < whole.size(); ++size) {
        const JsonReading reading = read_json(whole.substr(0, size), "runs");
        CHECK_FALSE(reading.value);
        CHECK(reading.stopped_at == size);
    }
}

TEST_CASE("a byte that is changed is judged as another parser does", "[json]") {
    constexpr bool kThrows = false;
    u32 refused = 0;
    for (std::size_t at = 0; kDocument[at] != '\0'; ++at) {
        for (const char c : std::string_view("\"\\{}[]:,0-.e a\x01")) {
            std::string text = kDocument;
            text[at] = c;
            const bool is_good = !nlohmann::json::parse(text, nullptr, kThrows).is_discarded();
            CHECK(is_json(text) == is_good);
            refused += !is_good;
        }
    }
    CHECK(refused > 500);
}

TEST_CASE("what is not JSON stops where that shows", "[json]") {
    CHECK(read_json("{} {}", "").stopped_at == 3);
    CHECK(read_json("hello", "").stopped_at == 0);
    CHECK(read_json("{\"a\": 1,}", "").stopped_at == 8);
    for (const char* text : {"", " ", "{1: 2}", "[1 2]", "01", "-", "1.", "1e", "nul", "[,]", "'a'"})
        CHECK_FALSE(is_json(text));
}

TEST_CASE("depth and number of values are limited", "[json]") {
    CHECK(is_json(std::string(31, '[') + std::string(31, ']')));
    CHECK_FALSE(is_json(std::string(33, '[') + std::string(33, ']')));
    CHECK_FALSE(is_json(std::string(1 << 20, '[')));
    std::string many = "[0";
    for (u32 i = 0; i < 1 << 20; ++i) many += ",0";
    CHECK_FALSE(is_json(many + "]"));
    CHECK(is_json("{\"runs\": " + many + "]}"));
}
