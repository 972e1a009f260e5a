// SPDX-License-Identifier: Apache-2.0
// Console marks: their words, and when a line counts.
#include "vmm/bench/measure/marks.h"

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

std::vector<ConsoleMark> marks(std::initializer_list<const char*> words) {
    std::vector<ConsoleMark> list;
    for (const char* word : words) list.push_back(ConsoleMark::parse(word).value());
    return list;
}

using Found = std::vector<std::size_t>;

}  // namespace

TEST_CASE("a mark may have a name; without one it is its expression", "[marks]") {
    CHECK(ConsoleMark::parse("init=^Run /init").value().name() == "init");
    CHECK(ConsoleMark::parse("^Run /init").value().name() == "^Run /init");
    CHECK(ConsoleMark::parse("a b=c").value().name() == "a b=c");
    CHECK(ConsoleMark::parse("a b=c").value().matches("xa b=cx"));
    CHECK(ConsoleMark::parse("=x").value().matches("=x"));
    CHECK(ConsoleMark::parse("n=a=b").value().matches("a=b"));
}

TEST_CASE("an empty or broken expression is refused with the reason", "[marks]") {
    for (const char* word : {"", "name=", "name=(", "[", "a=*("}) {
        INFO(word);
        const Result<ConsoleMark> mark = ConsoleMark::parse(word);
        REQUIRE_FALSE(mark);
        CHECK(mark.error().message().find("--mark") != std::string::npos);
    }
}

TEST_CASE("a mark is found once, in its line, whatever pieces are read", "[marks]") {
    const std::vector<ConsoleMark> list = marks({"one=^one$", "two=two"});
    MarkWatch watch(list);
    CHECK(watch.take("xone\r\non").empty());
    CHECK(watch.take("e\r\n") == Found{0});
    CHECK(watch.take("one\ntw").empty());
    CHECK(watch.take("o") == Found{1});
    CHECK(watch.take("two\n").empty());
}

TEST_CASE("a prompt without a line end is seen", "[marks]") {
    const std::vector<ConsoleMark> list = marks({"login: $"});
    MarkWatch watch(list);
    CHECK(watch.take("host login: ") == Found{0});
}

TEST_CASE("bytes of any value and endless lines do no harm", "[marks]") {
    const std::vector<ConsoleMark> list = marks({"end"});
    MarkWatch watch(list);
    std::string bytes;
    for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
    for (int i = 0; i < 100; ++i) CHECK(watch.take(bytes).empty());
    std::string flood(100'000, 'x');
    CHECK(watch.take(flood).empty());
    CHECK(watch.take("\nend") == Found{0});
}
