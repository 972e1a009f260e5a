// SPDX-License-Identifier: Apache-2.0
#include "vmm/text/layout.h"

#include <vector>

#include <catch2/catch.hpp>

using namespace mayfly;

TEST_CASE("lines are broken at spaces, and each after the first is indented", "[layout]") {
    CHECK(wrap_text("one two three", 80) == "one two three");
    CHECK(wrap_text("one two three", 7) == "one two\nthree");
    CHECK(wrap_text("one two three", 6) == "one\ntwo\nthree");
    CHECK(wrap_text("one two three", 9, 2) == "one two\n  three");
    CHECK(wrap_text("one two three", 9, 2, 4) == "one\n  two\n  three");
}

TEST_CASE("a word that fits nowhere has a line of its own", "[layout]") {
    CHECK(wrap_text("a reallylongword b", 6) == "a\nreallylongword\nb");
    CHECK(wrap_text("reallylongword", 6, 2, 3) == "reallylongword");
}

TEST_CASE("a word that is longer than a line is broken where its parts end", "[layout]") {
    CHECK(wrap_text("fwd=tcp|udp:PORT-:PORT", 16) == "fwd=tcp|udp:\nPORT-:PORT");
}

TEST_CASE("the keys of a value may be parted", "[layout]") {
    CHECK(wrap_text("FILE[,ro][,direct]", 10) == "FILE[,ro]\n[,direct]");
    CHECK(wrap_text("FILE[,ro][,direct]", 80) == "FILE[,ro][,direct]");
}

TEST_CASE("a text's own lines stay, and empty ones have no spaces", "[layout]") {
    CHECK(wrap_text("one\n\ntwo", 80, 4) == "one\n\n    two");
}

TEST_CASE("a character of UTF-8 is one column", "[layout]") {
    CHECK(text_width("± σ") == 3);
    CHECK(wrap_text("±±± ±±±", 7) == "±±± ±±±");
}

TEST_CASE("a description stands beside a name that leaves room, else below", "[layout]") {
    CHECK(describe("name", "text", 8, 80) == "name    text\n");
    CHECK(describe("a name", "text", 8, 80) == "a name  text\n");
    CHECK(describe("a longer name", "text", 8, 80) == "a longer name\n        text\n");
    CHECK(describe("name", "text", 8, 40) == "name\n      text\n");
}

TEST_CASE("items go into as few lines as they fit", "[layout]") {
    const std::vector<std::string> items{"a 1", "b 2", "c 3"};
    CHECK(item_lines(items, 80, 2) == "  a 1  b 2  c 3\n");
    CHECK(item_lines(items, 10, 2) == "  a 1  b 2\n  c 3\n");
    CHECK(item_lines({}, 10, 2).empty());
}

TEST_CASE("figures end at the same column, or in a line of their own", "[layout]") {
    CHECK(figure_row("left", "12", 10, 80) == "left    12\n");
    CHECK(figure_row("left", "12", 10, 8) == "left  12\n");
    CHECK(figure_row("a long left side", "12", 10, 80) == "a long left side 12\n");
    CHECK(figure_row("a long left side", "12", 10, 18) == "a long left side\n        12\n");
}
