// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/cmos.h"

#include <catch2/catch.hpp>

#include "tests/support/device_fakes.h"

using namespace mayfly;

namespace {

// 2024-02-29 13:45:59 UTC, a Thursday: date -u -d @1709214359.
constexpr i64 kLeapDay = 1709214359;

struct Fixture {
    FakeClock clock;
    Cmos cmos;

    explicit Fixture(i64 seconds = kLeapDay, u64 below = 128ULL << 20, u64 above = 0)
        : clock(), cmos(at(clock, seconds, below, above)) {}

    [[nodiscard]] u8 get(u8 index) {
        write8(cmos, 0, index);
        return read8(cmos, 1);
    }
    void set(u8 index, u8 value) {
        write8(cmos, 0, index);
        write8(cmos, 1, value);
    }

  private:
    [[nodiscard]] static Cmos at(FakeClock& clock, i64 seconds, u64 below, u64 above) {
        clock.seconds = seconds;
        return Cmos({below, above}, clock);
    }
};

}  // namespace

TEST_CASE("cmos control registers read their reset values", "[cmos]") {
    Fixture f;
    CHECK(f.get(0x0a) == 0x26);
    CHECK(f.get(0x0b) == 0x02);
    CHECK(f.get(0x0c) == 0x00);
    CHECK(f.get(0x0d) == 0x80);
    CHECK(read8(f.cmos, 0) == 0xff);
}

TEST_CASE("cmos tells the time in BCD and 24 hours", "[cmos]") {
    Fixture f;
    CHECK(f.get(0x00) == 0x59);
    CHECK(f.get(0x02) == 0x45);
    CHECK(f.get(0x04) == 0x13);
    CHECK(f.get(0x06) == 0x05);  // Thursday
    CHECK(f.get(0x07) == 0x29);
    CHECK(f.get(0x08) == 0x02);
    CHECK(f.get(0x09) == 0x24);
    CHECK(f.get(0x32) == 0x20);
}

TEST_CASE("cmos tells the time in binary and 12 hours when register B says so", "[cmos]") {
    Fixture f;
    f.set(0x0b, 0x04);
    CHECK(f.get(0x00) == 59);
    CHECK(f.get(0x04) == 0x81);  // 1 pm
    CHECK(f.get(0x07) == 29);
    CHECK(f.get(0x09) == 24);
    CHECK(f.get(0x32) == 20);
}

TEST_CASE("cmos counts noon and midnight as 12", "[cmos]") {
    Fixture f(kLeapDay - 13 * 3600);
    f.set(0x0b, 0x00);
    CHECK(f.get(0x04) == 0x12);
    f.clock.seconds += 12 * 3600;
    CHECK(f.get(0x04) == 0x92);
}

TEST_CASE("cmos calendar is right at month and year ends", "[cmos]") {
    const struct {
        i64 seconds;
        u8 century, year, month, day, weekday;
    } rows[] = {
        {0, 0x19, 0x70, 0x01, 0x01, 5},
        {951782399, 0x20, 0x00, 0x02, 0x28, 2},   // 2000-02-28 23:59:59
        {951782400, 0x20, 0x00, 0x02, 0x29, 3},   // 2000 is a leap year
        {1735689599, 0x20, 0x24, 0x12, 0x31, 3},  // 2024-12-31 23:59:59
        {1735689600, 0x20, 0x25, 0x01, 0x01, 4},
        {4107542400, 0x21, 0x00, 0x03, 0x01, 2},  // 2100 is not a leap year: 2100-03-01
        {-1, 0x19, 0x69, 0x12, 0x31, 4},
    };
    for (const auto& row : rows) {
        Fixture f(row.seconds);
        CAPTURE(row.seconds);
        CHECK(f.get(0x32) == row.century);
        CHECK(f.get(0x09) == row.year);
        CHECK(f.get(0x08) == row.month);
        CHECK(f.get(0x07) == row.day);
        CHECK(f.get(0x06) == row.weekday);
    }
}

TEST_CASE("cmos ticks, and UIP is never set", "[cmos]") {
    Fixture f;
    f.clock.seconds += 1;
    CHECK(f.get(0x00) == 0x00);
    CHECK(f.get(0x02) == 0x46);
    f.set(0x0a, 0xff);
    CHECK(f.get(0x0a) == 0x7f);
}

TEST_CASE("cmos register C tells that a second passed, once", "[cmos]") {
    Fixture f;
    CHECK(f.get(0x0c) == 0x00);
    f.clock.seconds += 1;
    CHECK(f.get(0x0c) == 0x10);
    CHECK(f.get(0x0c) == 0x00);
    f.set(0x0c, 0xff);
    f.set(0x0d, 0x00);
    CHECK(f.get(0x0c) == 0x00);
    CHECK(f.get(0x0d) == 0x80);
}

TEST_CASE("cmos stands still while SET is 1 and goes on from the written time", "[cmos]") {
    Fixture f;
    f.set(0x0b, 0x82);
    f.clock.seconds += 1000;
    CHECK(f.get(0x00) == 0x59);
    CHECK(f.get(0x0c) == 0x00);
    f.set(0x32, 0x19);
    f.set(0x09, 0x99);
    f.set(0x08, 0x12);
    f.set(0x07, 0x31);
    f.set(0x04, 0x23);
    f.set(0x02, 0x59);
    f.set(0x00, 0x58);
    CHECK(f.get(0x04) == 0x23);
    f.set(0x0b, 0x02);
    CHECK(f.get(0x00) == 0x58);
    CHECK(f.get(0x06) == 0x06);  // a Friday
    f.clock.seconds += 2;
    CHECK(f.get(0x00) == 0x00);
    CHECK(f.get(0x04) == 0x00);
    CHECK(f.get(0x07) == 0x01);
    CHECK(f.get(0x08) == 0x01);
    CHECK(f.get(0x09) == 0x00);
    CHECK(f.get(0x32) == 0x20);
}

TEST_CASE("cmos takes a time in 12 hours and binary", "[cmos]") {
    Fixture f;
    f.set(0x0b, 0x04);
    f.set(0x0b, 0x84);
    f.set(0x04, 0x8c);  // 12 pm: noon
    f.set(0x0b, 0x04);
    f.set(0x0b, 0x06);
    CHECK(f.get(0x04) == 12);
    CHECK(f.get(0x02) == 45);
    f.set(0x0b, 0x04);
    f.set(0x0b, 0x84);
    f.set(0x04, 12);  // 12 am: midnight
    f.set(0x0b, 0x04);
    f.set(0x0b, 0x06);
    CHECK(f.get(0x04) == 0);
    CHECK(f.get(0x07) == 29);
}

TEST_CASE("cmos takes a time without SET", "[cmos]") {
    Fixture f;
    f.set(0x04, 0x07);
    CHECK(f.get(0x04) == 0x07);
    CHECK(f.get(0x02) == 0x45);
    f.clock.seconds += 3600;
    CHECK(f.get(0x04) == 0x08);
}

TEST_CASE("cmos keeps alarms and RAM", "[cmos]") {
    Fixture f;
    for (const u8 index : std::vector<u8>{0x01, 0x03, 0x05, 0x0e, 0x0f, 0x33, 0x40, 0x7f}) {
        f.set(index, static_cast<u8>(index ^ 0x5a));
        CHECK(f.get(index) == (index ^ 0x5a));
    }
}

TEST_CASE("cmos ignores the NMI bit of the index", "[cmos]") {
    Fixture f;
    f.set(0x40, 0x77);
    CHECK(f.get(0xc0) == 0x77);
}

TEST_CASE("cmos index and data may be written as one word", "[cmos]") {
    Fixture f;
    f.cmos.io_write({0, 2}, 0x1240);
    CHECK(f.get(0x40) == 0x12);
    CHECK(f.cmos.io_read({0, 2}) == 0x12ff);
}

TEST_CASE("cmos memory cells tell the size of RAM", "[cmos]") {
    const struct {
        u64 below, above;
        u32 base_kib, extended_kib, above_16m, above_4g;
    } rows[] = {
        {2ULL << 20, 0, 640, 1024, 0, 0},
        {128ULL << 20, 0, 640, 0xffff, 1792, 0},              // 112 MiB in units of 64 KiB
        {3ULL << 30, 5ULL << 30, 640, 0xffff, 48896, 81920},  // 3056 MiB and 5 GiB
    };
    for (const auto& row : rows) {
        Fixture f(0, row.below, row.above);
        const auto word = [&f](u8 index) { return f.get(index) | f.get(static_cast<u8>(index + 1)) << 8; };
        CHECK(word(0x15) == static_cast<int>(row.base_kib));
        CHECK(word(0x17) == static_cast<int>(row.extended_kib));
        CHECK(word(0x30) == static_cast<int>(row.extended_kib));
        CHECK(word(0x34) == static_cast<int>(row.above_16m));
        CHECK((word(0x5b) | f.get(0x5d) << 16) == static_cast<int>(row.above_4g));
    }
}

TEST_CASE("cmos survives any access, any date, and a reset while it is being set", "[cmos]") {
    Fixture f;
    CHECK(hammer(f.cmos, 2) == 0);
    for (int value = 0; value < 256; ++value) {
        f.set(0x0b, static_cast<u8>(0x80 | (value & 0x06)));
        for (const u8 index : std::vector<u8>{0x00, 0x02, 0x04, 0x07, 0x08, 0x09, 0x32}) {
            f.set(index, static_cast<u8>(value));
        }
        f.set(0x0b, 0x06);
        CHECK(f.get(0x08) >= 1);
        CHECK(f.get(0x08) <= 12);
        CHECK(f.get(0x07) >= 1);
        CHECK(f.get(0x07) <= 31);
        CHECK(f.get(0x04) <= 23);
    }
    f.set(0x0b, 0x82);
    f.cmos.reset();
    CHECK(f.get(0x0b) == 0x02);
    CHECK(f.get(0x04) == 0x13);
    CHECK(f.get(0x40) == 0x00);
}
