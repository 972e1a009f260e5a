// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "devices/platform/acpi_pm1.h"
#include "devices/platform/acpi_sleep.h"
#include "tests/support/device_fakes.h"

using namespace mayfly;

namespace {

constexpr u8 kS5 = 5;

}  // namespace

TEST_CASE("sleep registers read 0 after reset", "[acpi_sleep]") {
    FakeVerdicts verdicts;
    AcpiSleep sleep(kS5, verdicts);
    CHECK(read8(sleep, 0) == 0);
    CHECK(read8(sleep, 1) == 0);
    CHECK(sleep.io_read({0, 2}) == 0xffff);
}

TEST_CASE("sleep control powers off for the S5 type with SLP_EN", "[acpi_sleep]") {
    FakeVerdicts verdicts;
    AcpiSleep sleep(kS5, verdicts);
    write8(sleep, 0, 5 << 2);  // no SLP_EN
    CHECK(read8(sleep, 0) == 5 << 2);
    write8(sleep, 0, (3 << 2) | 0x20);  // S3 is not offered
    write8(sleep, 0, 0x20);
    write8(sleep, 1, 0x80);
    sleep.io_write({0, 2}, (5 << 2) | 0x20);
    CHECK(verdicts.verdicts.empty());
    write8(sleep, 0, (5 << 2) | 0x20);
    CHECK(verdicts.verdicts == std::vector<Verdict>{Verdict::PowerOff});
    CHECK(read8(sleep, 0) == 5 << 2);  // SLP_EN is write-only
}

TEST_CASE("sleep control survives any access", "[acpi_sleep]") {
    FakeVerdicts verdicts;
    AcpiSleep sleep(kS5, verdicts);
    CHECK(hammer(sleep, 2) == 0);
    sleep.reset();
    CHECK(read8(sleep, 0) == 0);
}

TEST_CASE("PM1 registers read their reset values", "[acpi_pm1]") {
    FakeVerdicts verdicts;
    AcpiPm1 pm1(kS5, verdicts);
    CHECK(pm1.io_read({0, 2}) == 0);
    CHECK(pm1.io_read({2, 2}) == 0);
    CHECK(pm1.io_read({4, 2}) == 0x0001);  // SCI_EN
    CHECK(pm1.io_read({0, 4}) == 0);
}

TEST_CASE("PM1 enable is stored and status stays 0", "[acpi_pm1]") {
    FakeVerdicts verdicts;
    AcpiPm1 pm1(kS5, verdicts);
    pm1.io_write({0, 2}, 0xffff);
    CHECK(pm1.io_read({0, 2}) == 0);
    pm1.io_write({2, 2}, 0x0120);
    CHECK(pm1.io_read({2, 2}) == 0x0120);
    CHECK(read8(pm1, 3) == 0x01);
    write8(pm1, 3, 0x00);
    CHECK(pm1.io_read({0, 4}) == 0x00200000);
}

TEST_CASE("PM1 control powers off for S5 with SLP_EN", "[acpi_pm1]") {
    FakeVerdicts verdicts;
    AcpiPm1 pm1(kS5, verdicts);
    pm1.io_write({4, 2}, 5 << 10);  // ACPICA writes the type first, then type and enable
    CHECK(pm1.io_read({4, 2}) == ((5 << 10) | 1));
    CHECK(verdicts.verdicts.empty());
    pm1.io_write({4, 2}, (5 << 10) | 0x2000);
    CHECK(verdicts.verdicts == std::vector<Verdict>{Verdict::PowerOff});
    CHECK(pm1.io_read({4, 2}) == ((5 << 10) | 1));
}

TEST_CASE("PM1 control powers off for a bare 0x2000 and for no other type", "[acpi_pm1]") {
    FakeVerdicts verdicts;
    AcpiPm1 pm1(kS5, verdicts);
    pm1.io_write({4, 2}, (1 << 10) | 0x2000);
    pm1.io_write({4, 2}, (7 << 10) | 0x2000);
    CHECK(verdicts.verdicts.empty());
    pm1.io_write({4, 2}, 0x2000);
    CHECK(verdicts.verdicts == std::vector<Verdict>{Verdict::PowerOff});
}

TEST_CASE("PM1 control takes its high byte alone", "[acpi_pm1]") {
    FakeVerdicts verdicts;
    AcpiPm1 pm1(kS5, verdicts);
    write8(pm1, 5, 0x34);
    CHECK(verdicts.verdicts == std::vector<Verdict>{Verdict::PowerOff});
}

TEST_CASE("PM1 survives any access", "[acpi_pm1]") {
    FakeVerdicts verdicts;
    AcpiPm1 pm1(kS5, verdicts);
    CHECK(hammer(pm1, 6) == 0);
    pm1.reset();
    CHECK(pm1.io_read({0, 4}) == 0);
    CHECK(pm1.io_read({4, 2}) == 1);
}
