// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "firmware/init/report.h"

using namespace mayfly;

TEST_CASE("a report arrives as it was sent") {
    const InitReport reports[] = {
        {InitReport::Kind::Exited, InitStep::None, 0},
        {InitReport::Kind::Exited, InitStep::None, 255},
        {InitReport::Kind::Signalled, InitStep::None, 9},
        {InitReport::Kind::InitFailed, InitStep::Module, 8},
        {InitReport::Kind::InitFailed, InitStep::Execute, 4095},
        {InitReport::Kind::InitFailed, InitStep::Network, 19},
        {InitReport::Kind::InitFailed, InitStep::Unpack, 28},
        {InitReport::Kind::InitFailed, InitStep::Share, 22},
        {InitReport::Kind::InitFailed, InitStep::CopyIn, 28},
    };
    for (const InitReport& report : reports) {
        const auto decoded = decode_init_report(encode_init_report(report));
        REQUIRE(decoded.has_value());
        CHECK(*decoded == report);
    }
    CHECK(encode_init_report({InitReport::Kind::Exited, InitStep::None, 42}) == 0xe100002a);
    CHECK(encode_init_report({InitReport::Kind::Signalled, InitStep::None, 11}) == 0xe200000b);
    CHECK(encode_init_report({InitReport::Kind::InitFailed, InitStep::Module, 8}) == 0xe3020008);
}

TEST_CASE("a word that our init never writes is not a report") {
    for (const u32 word : {0x00000000u, 0xffffffffu, 0x00000031u, 0xe1000100u, 0xe1010000u, 0xe2000000u,
                           0xe2000041u, 0xe3000002u, 0xe30d0002u, 0xe4000000u, 0x2ae10000u})
        CHECK_FALSE(decode_init_report(word).has_value());
}
