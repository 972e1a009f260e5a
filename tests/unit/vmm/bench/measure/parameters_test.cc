// SPDX-License-Identifier: Apache-2.0
// Lists of values, and the replacement of names by them.
#include "vmm/bench/measure/parameters.h"

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("a parameter is a name and a list", "[parameters]") {
    const Parameter parameter = Parameter::parse("a-b_c.1=x,y=z").value();
    CHECK(parameter.name == "a-b_c.1");
    CHECK(parameter.values == Words{"x", "y=z"});
}

TEST_CASE("a comma that is written twice belongs to a value", "[parameters]") {
    CHECK(Parameter::parse("p=ttyS0,,115200,hvc0").value().values == Words{"ttyS0,115200", "hvc0"});
    CHECK(Parameter::parse("p=a,,").value().values == Words{"a,"});
    CHECK(Parameter::parse("p=a,,,b").value().values == Words{"a,", "b"});
}

TEST_CASE("no name, another name, no list and an empty value are refused", "[parameters]") {
    for (const char* text : {"", "a", "=a", "a b=1", "{a}=1", "a=", "a=,", "a=1,", "a=,1", "a=1,,,"}) {
        INFO(text);
        const Result<Parameter> parameter = Parameter::parse(text);
        REQUIRE_FALSE(parameter);
        CHECK(parameter.error().message().find("--parameter '" + std::string(text) + "'") == 0);
    }
}

TEST_CASE("only declared names are replaced, and each text once", "[parameters]") {
    const std::vector<Setting> settings{{"a", "{b}"}, {"b", "2"}, {"ab", "3"}};
    CHECK(substitute("{a}{b}{ab}", settings) == "{b}23");
    CHECK(substitute("{\"a\": {x}, {{b}}, {a", settings) == "{\"a\": {x}, {2}, {a");
    CHECK(substitute("", settings).empty());
    CHECK(mentions("x{a}", "a"));
    CHECK_FALSE(mentions("a{ab}{ a}", "a"));
}

TEST_CASE("the last parameter's values change fastest", "[parameters]") {
    const std::vector<Parameter> parameters{{"a", {"1", "2"}}, {"b", {"x", "y", "z"}}};
    const std::vector<std::vector<Setting>> list = combinations(parameters, 6).value();
    std::string text;
    for (const std::vector<Setting>& one : list) text += one[0].value + one[1].value + " ";
    CHECK(text == "1x 1y 1z 2x 2y 2z ");
    CHECK(combinations({}, 6).value().size() == 1);
    CHECK_FALSE(combinations(parameters, 5));
}
