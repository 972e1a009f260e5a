// SPDX-License-Identifier: Apache-2.0
#include "vmm/watch/line_splitter.h"

#include <vector>

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

/// The pieces, with '|' before one that continues a line and '+' after one whose line continues.
struct Lines {
    std::vector<std::string> pieces;
    void operator()(const LineSplitter::Piece& piece) {
        pieces.push_back((piece.is_start ? "" : "|") + std::string(piece.text) + (piece.is_end ? "" : "+"));
    }
};

std::vector<std::string> split(std::string_view bytes, std::size_t portion) {
    LineSplitter splitter;
    Lines lines;
    while (!bytes.empty()) {
        splitter.take(bytes.substr(0, portion), lines);
        bytes.remove_prefix(std::min(portion, bytes.size()));
    }
    splitter.finish(lines);
    return lines.pieces;
}

using Expected = std::vector<std::string>;

}  // namespace

TEST_CASE("lines end by LF, by CR LF, by CRs before an LF and by a lone CR") {
    const std::string_view bytes = "one\ntwo\r\nthree\r\r\nfour\rfive\n\nsix";
    for (std::size_t portion = 1; portion <= bytes.size(); ++portion) {
        INFO("in portions of " << portion);
        CHECK(split(bytes, portion) == Expected{"one", "two", "three", "four", "five", "", "six"});
    }
}

TEST_CASE("a CR at the beginning of a line is ignored") {
    for (const std::size_t portion : {1U, 2U, 64U}) {
        CHECK(split("one\n\rtwo\n\r", portion) == Expected{"one", "two"});
        CHECK(split("\r\r\rone", portion) == Expected{"one"});
        CHECK(split("\r\n\r\n", portion) == Expected{"", ""});
    }
}

TEST_CASE("an unterminated line is passed on at the end, once") {
    CHECK(split("login: ", 3) == Expected{"login: "});
    CHECK(split("login:\r", 3) == Expected{"login:"});
    CHECK(split("done\n", 3) == Expected{"done"});
    CHECK(split("", 3).empty());
}

TEST_CASE("NULs and bytes that are not UTF-8 survive") {
    const std::string bytes("a\0b\xff\xfe\xc3\n\0", 8);
    for (const std::size_t portion : {1U, 3U, 8U})
        CHECK(split(bytes, portion) == Expected{std::string("a\0b\xff\xfe\xc3", 6), std::string("\0", 1)});
}

TEST_CASE("a line of exactly 4096 bytes is one piece, a longer one is several, and no byte is lost") {
    const std::string exact(4096, 'x');
    for (const std::size_t portion : {1U, 7U, 4096U, 10000U}) {
        INFO("in portions of " << portion);
        CHECK(split(exact + "\n", portion) == Expected{exact});
        CHECK(split(exact + "\r\n", portion) == Expected{exact});
        CHECK(split(exact, portion) == Expected{exact});
        CHECK(split(exact + "y\nz\n", portion) == Expected{exact + "+", "|y", "z"});
        CHECK(split(exact + exact + exact + "y\r\nz", portion) ==
              Expected{exact + "+", "|" + exact + "+", "|" + exact + "+", "|y", "z"});
    }
}

TEST_CASE("no piece ends within a character, however it comes") {
    const std::string room(4094, 'x');
    for (const std::size_t portion : {1U, 7U, 4096U, 10000U}) {
        INFO("in portions of " << portion);
        CHECK(split(room + "\xe2\x82\xac\n", portion) == Expected{room + "+", "|\xe2\x82\xac"});
        CHECK(split(room + "x\xc3\xa9\n", portion) == Expected{room + "x+", "|\xc3\xa9"});
        CHECK(split(room + "\xc3\xa9y\n", portion) == Expected{room + "\xc3\xa9+", "|y"});
        // Bytes that are not a character are cut anywhere.
        const std::string stray = room + "\x80\x80\x80\x80";
        CHECK(split(stray + "\n", portion) == Expected{room + "\x80\x80+", "|\x80\x80"});
        CHECK(split(room + "\xe2\xe2y\n", portion).size() == 2);
    }
}

TEST_CASE("the unfinished line can be read, and is empty once the line has ended") {
    LineSplitter splitter;
    Lines lines;
    splitter.take("one\nlog", lines);
    splitter.take("in: ", lines);
    CHECK(splitter.unfinished().text == "login: ");
    CHECK(splitter.unfinished().is_start);
    splitter.take("\n", lines);
    CHECK(splitter.unfinished().text.empty());
    splitter.take(std::string(5000, 'x'), lines);
    CHECK(splitter.unfinished().text.size() == 5000 - 4096);
    CHECK_FALSE(splitter.unfinished().is_start);
}

TEST_CASE("any cut of random bytes gives the same lines") {
    u_int32_t state = 12345;
    std::string bytes;
    for (int i = 0; i < 20000; ++i) {
        state = state * 1664525 + 1013904223;
        bytes += "\n\r\r\nabcdefgh"[state >> 24 & 7];
    }
    const Expected whole = split(bytes, bytes.size());
    for (const std::size_t portion : {1U, 2U, 3U, 17U, 4096U}) CHECK(split(bytes, portion) == whole);
}
