// SPDX-License-Identifier: Apache-2.0
#include "vmm/watch/console_tail.h"

#include <string>

#include <catch2/catch.hpp>

using namespace mayfly;

TEST_CASE("the tail is the last lines, including the unfinished one") {
    ConsoleTail tail;
    CHECK(tail.lines(5).empty());
    tail.take("one\ntwo\r\nthr");
    tail.take("ee");
    CHECK(tail.lines(5) == std::vector<std::string>{"one", "two", "three"});
    CHECK(tail.lines(2) == std::vector<std::string>{"two", "three"});
}

TEST_CASE("the tail keeps 16 KiB and no more, wherever its memory wraps") {
    for (const std::size_t portion : {1U, 64U, 100U, 16384U, 16385U, 50000U}) {
        ConsoleTail tail;
        std::string all;
        for (int i = 0; all.size() < 100000; ++i) all += std::to_string(i) + " line\n";
        for (std::size_t at = 0; at < all.size(); at += portion)
            tail.take(std::string_view(all).substr(at, portion));
        const std::vector<std::string> lines = tail.lines(1000000);
        std::string joined;
        for (const std::string& line : lines) joined += line + "\n";
        CHECK(joined == all.substr(all.size() - 16384));
    }
}

TEST_CASE("a console of exactly the tail's size is in the tail as a whole") {
    ConsoleTail tail;
    const std::string all = std::string(16383, 'x') + "\n";
    tail.take(all);
    CHECK(tail.lines(3) == std::vector<std::string>{std::string(16383, 'x')});
}

TEST_CASE("the tail contains no terminal commands") {
    ConsoleTail tail;
    tail.take("\x1b[31mred\x1b[0m\x07\xff\n");
    CHECK(tail.lines(1) == std::vector<std::string>{"red\xef\xbf\xbd\xef\xbf\xbd"});
}
