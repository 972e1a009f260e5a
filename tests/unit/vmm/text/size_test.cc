// SPDX-License-Identifier: Apache-2.0
#include "vmm/text/size.h"

#include <catch2/catch.hpp>

using namespace mayfly;

TEST_CASE("a size is read with and without a suffix", "[size]") {
    CHECK(parse_size("65536").value() == 65536);
    CHECK(parse_size("128M").value() == 134217728);
    CHECK(parse_size("2g").value() == 2147483648);
    CHECK(parse_size("4KiB").value() == 4096);
    CHECK(parse_size("1.5G").value() == 1610612736);
    CHECK(parse_size("0").value() == 0);
}

TEST_CASE("an invalid size is refused with the given text", "[size]") {
    for (const char* text : {"", "M", "12X", "-1", "1.M", "1.5", "1.2345G", "12 M", "1Mi1"}) {
        const Result<u64> size = parse_size(text);
        REQUIRE_FALSE(size);
        CHECK(size.error().message().find(text) != std::string::npos);
    }
    CHECK_FALSE(parse_size("99999999999999999999"));
    CHECK_FALSE(parse_size("18446744073709551615T"));
}

TEST_CASE("a number is read in decimal and hexadecimal up to its limit", "[size]") {
    CHECK(parse_number("0xf4", 0xffff).value() == 0xf4);
    CHECK(parse_number("501", 0xffff).value() == 501);
    CHECK_FALSE(parse_number("0x10000", 0xffff));
    CHECK_FALSE(parse_number("0x", 0xffff));
    CHECK_FALSE(parse_number("12z", 0xffff));
}

TEST_CASE("seconds are read as milliseconds within their limits", "[size]") {
    CHECK(parse_seconds_ms("5", 100).value() == 5000);
    CHECK(parse_seconds_ms("0.25", 100).value() == 250);
    CHECK(parse_seconds_ms("0.001", 100).value() == 1);
    CHECK(parse_seconds_ms("100", 100).value() == 100000);
    for (const char* text : {"", "0", "0.000", "-1", "100.001", "101", "1e3", "inf", "nan", "5s", "1.",
                             "1.0001", "99999999999999999999"})
        CHECK_FALSE(parse_seconds_ms(text, 100));
}

TEST_CASE("a size is printed in the largest unit that divides it", "[size]") {
    CHECK(print_size(134217728) == "128 MiB");
    CHECK(print_size(4097) == "4097 bytes");
    CHECK(print_size(0) == "0 bytes");
}
