// SPDX-License-Identifier: Apache-2.0
#include "vmm/watch/expression.h"

#include <algorithm>
#include <string>

#include <malloc.h>

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

bool matches(const std::string& expression, std::string_view line, TextEnds ends = {}) {
    Result<Expression> compiled = Expression::compile("--expect", expression);
    REQUIRE(compiled);
    return compiled->matches(line, ends);
}

std::string refusal(const std::string& expression) {
    const Result<Expression> compiled = Expression::compile("--expect", expression);
    REQUIRE_FALSE(compiled);
    CHECK(compiled.error().kind() == ErrorKind::Invalid);
    return compiled.error().message();
}

/// What the C library's allocator has given out. Always 0 under a sanitizer, which brings its own, and keeps
/// what was freed.
std::size_t allocated_kib() {
    const struct mallinfo2 heap = ::mallinfo2();
    return (heap.uordblks + heap.hblkhd) / 1024;
}

}  // namespace

TEST_CASE("expressions are POSIX extended ones, matched anywhere in a line") {
    CHECK(matches("login: $", "debian login: "));
    CHECK(matches("^(a|bc)+[[:digit:]]{2,3}$", "abca042"));
    CHECK_FALSE(matches("^(a|bc)+[[:digit:]]{2,3}$", "abca0421"));
    CHECK(matches("^$", ""));
    CHECK_FALSE(matches("x", ""));
}

TEST_CASE("a NUL or a byte that is no UTF-8 does not end or hide a line") {
    CHECK(matches("end$", std::string_view("a\0b end", 7)));
    CHECK(matches("^a[^b]b", std::string_view("a\0b end", 7)));
    CHECK(matches("a.b",
                  "a\xff"
                  "b"));
    CHECK(matches("caf\xc3\xa9", "a caf\xc3\xa9"));
}

TEST_CASE("a part of a line has the ends that it has") {
    CHECK_FALSE(matches("^abc", "abc", {.is_line_start = false, .is_line_end = true}));
    CHECK_FALSE(matches("abc$", "abc", {.is_line_start = true, .is_line_end = false}));
    CHECK(matches("abc", "abc", {.is_line_start = false, .is_line_end = false}));
}

TEST_CASE("what is no expression is refused with the expression and the reason") {
    CHECK_THAT(refusal("(ab"), Catch::Contains("--expect '(ab' is no regular expression: Unmatched ("));
    CHECK_THAT(refusal("[a"), Catch::Contains("--expect '[a' is no regular expression"));
    CHECK_THAT(refusal("a{2,1}"), Catch::Contains("a{2,1}"));
    CHECK_THAT(refusal(""), Catch::Contains("--expect is empty"));
}

TEST_CASE("back-references are refused, and what only looks like one is not") {
    for (const char* expression :
         {"(a*)*\\1", "(a)\\1", "(a)[b]\\1", "(a)[]\\]\\1", "([[:alpha:]\\]+)\\1", "(x)\\\\\\1"})
        CHECK_THAT(refusal(expression), Catch::Contains("has a back-reference"));
    CHECK(matches("(a)\\\\1", "a\\1"));
    CHECK(matches("^[\\1]+$", "\\1"));
    CHECK(matches("[^]\\1]x", "bx"));
    CHECK(matches("[[.-.]\\1]z", "1z"));
    CHECK(matches("\\.\\(", ".("));
}

TEST_CASE("a parenthesis that closes nothing is refused, unless it is only a character") {
    CHECK_THAT(refusal("a)b"), Catch::Contains("has a ) without its ("));
    CHECK_THAT(refusal("(a))|(b"), Catch::Contains("(a))|(b"));
    CHECK(matches("a\\)b", "a)b"));
    CHECK(matches("a[)]b", "a)b"));
    CHECK(matches("(a|(b))c|d", "d"));
}

TEST_CASE("alternatives keep their anchors") {
    CHECK(matches("^one|two$", "one three"));
    CHECK(matches("^one|two$", "three two"));
    CHECK_FALSE(matches("^one|two$", "three one"));
    CHECK_FALSE(matches("^one|two$", "two three"));
    CHECK(matches("a|^$", ""));
}

TEST_CASE("long lines of what nearly matches take time in proportion to their length") {
    // Each would take a second or more if the expression were tried from each byte of the line anew.
    const std::string line(1 << 20, 'a');
    for (const char* expression : {"(a|aa)*b", "(a*)*b", "(a|a?)+b", "a.*b", "(a+a+)+b"})
        CHECK_FALSE(matches(expression, line));
}

TEST_CASE("an expression goes on matching after any amount of text") {
    Result<Expression> compiled = Expression::compile("--expect", "needle [0-9]+");
    REQUIRE(compiled);
    const std::string hay(4000, 'n');
    for (int i = 0; i < 100; ++i) {
        CHECK_FALSE(compiled->matches(hay, {}));
        CHECK(compiled->matches("needle 42", {}));
    }
}

TEST_CASE("a text that visits ever new states of an expression does not fill the memory") {
    // 2^20 states, of which each byte of a random text makes a new one.
    Result<Expression> compiled = Expression::compile("--expect", "(a|b)*a(a|b){19}c");
    REQUIRE(compiled);
    unsigned state = 1;
    const std::size_t before = allocated_kib();
    std::size_t most = 0;
    for (int line = 0; line < 12; ++line) {
        std::string text;
        for (int i = 0; i < 4096; ++i) {
            state = state * 1664525 + 1013904223;
            text += (state >> 24 & 1) != 0 ? 'a' : 'b';
        }
        CHECK_FALSE(compiled->matches(text, {}));
        most = std::max(most, allocated_kib() - before);
    }
    // A line's states take 11 MiB, those of all lines 135 MiB.
    CHECK(most < 64 * 1024);
}
