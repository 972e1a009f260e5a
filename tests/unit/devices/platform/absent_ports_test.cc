// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/absent_ports.h"

#include <catch2/catch.hpp>

#include "tests/support/device_fakes.h"

using namespace mayfly;

namespace {

struct Fixture {
    AbsentPorts absent;
    Bus ports;

    Fixture() { absent.map_onto(ports, AbsentPorts::kAll); }

    [[nodiscard]] u64 in(u64 port) { return ports.read(port, 1); }
};

/// Whether a loop that waits for `mask` to be `wanted` ends.
[[nodiscard]] bool loop_ends(Fixture& f, u64 port, u64 mask, u64 wanted) {
    for (int i = 0; i < 10; ++i) {
        if ((f.in(port)&mask) == wanted) return true;
    }
    return false;
}

}  // namespace

TEST_CASE("an absent PIC does not keep its mask", "[absent]") {
    Fixture f;
    f.ports.write(0x21, 1, 0xfb);
    f.ports.write(0xa1, 1, 0x00);
    CHECK(f.in(0x21) == 0xff);
    CHECK(f.in(0xa1) == 0xff);
    CHECK(f.in(0x20) == 0x00);
    CHECK(f.in(0xa0) == 0x00);
}

TEST_CASE("an absent PIT does not count", "[absent]") {
    Fixture f;
    f.ports.write(0x43, 1, 0xb0);
    CHECK(f.in(0x40) == 0xff);
    CHECK(f.in(0x41) == 0xff);
    CHECK(f.in(0x43) == 0xff);
    CHECK(f.in(0x42) == 0x00);
}

TEST_CASE("port 0x61 keeps its two bits and lets calibration loops end", "[absent]") {
    Fixture f;
    f.ports.write(0x61, 1, 0xff);
    CHECK((f.in(0x61) & 0x0f) == 0x03);
    CHECK(loop_ends(f, 0x61, 0x20, 0x20));
    CHECK(loop_ends(f, 0x61, 0x20, 0x00));
    CHECK(loop_ends(f, 0x61, 0x10, 0x10));
    CHECK(loop_ends(f, 0x61, 0x10, 0x00));
    f.absent.reset();
    CHECK((f.in(0x61) & 0x03) == 0x00);
}

TEST_CASE("absent serial ports have no LSR", "[absent]") {
    Fixture f;
    CHECK(f.in(0x2fd) == 0xff);
    CHECK(f.in(0x3ed) == 0xff);
    CHECK(f.in(0x2ed) == 0xff);
}

TEST_CASE("an absent VGA lets retrace loops end and has its cursor at 0", "[absent]") {
    Fixture f;
    for (const u64 port : std::vector<u64>{0x3da, 0x3ba}) {
        CHECK(loop_ends(f, port, 0x08, 0x08));
        CHECK(loop_ends(f, port, 0x08, 0x00));
        CHECK(loop_ends(f, port, 0x01, 0x01));
        CHECK(loop_ends(f, port, 0x01, 0x00));
    }
    f.ports.write(0x3d4, 1, 0x0e);
    CHECK(f.in(0x3d5) == 0x00);
}

TEST_CASE("loops that wait for an absent drive or printer end", "[absent]") {
    Fixture f;
    for (const u64 port : std::vector<u64>{0x1f7, 0x177}) {
        CHECK(f.in(port) == 0xff);  // what a probe reads first
        bool is_ready = false;
        for (int i = 0; i < 100 && !is_ready; ++i) is_ready = (f.in(port)&0xc0) == 0x40;
        CHECK(is_ready);
    }
    CHECK(loop_ends(f, 0x3f4, 0xc0, 0x80));
    CHECK(loop_ends(f, 0x3f4, 0xc0, 0xc0));
    CHECK(loop_ends(f, 0x379, 0x80, 0x80));
    CHECK(loop_ends(f, 0x279, 0x80, 0x80));
    f.absent.reset();
    CHECK(f.absent.state().drive_status_reads == 0);
}

TEST_CASE("DMA pages and delay ports swallow writes", "[absent]") {
    Fixture f;
    f.ports.write(0x87, 1, 0x12);
    f.ports.write(0xed, 1, 0x12);
    f.ports.write(0x0f, 1, 0x12);
    CHECK(f.in(0x87) == 0xff);
    CHECK(f.in(0xed) == 0xff);
    CHECK(f.in(0x0f) == 0xff);
}

TEST_CASE("only the requested groups are mapped", "[absent]") {
    AbsentPorts absent;
    Bus ports;
    absent.map_onto(ports, AbsentPorts::kVga);
    CHECK(ports.name_at(0x3d5) == "absent");
    CHECK(ports.name_at(0x21).empty());
    CHECK(ports.name_at(0x61).empty());
}

TEST_CASE("every row of absent hardware has a reason and leaves room for existing devices", "[absent]") {
    AbsentPorts absent;
    Bus ports;
    absent.map_onto(ports, AbsentPorts::kAll);
    for (const AbsentPorts::Row& row : AbsentPorts::rows()) {
        CHECK_FALSE(row.reason.empty());
        CHECK(row.count > 0);
    }
    // CMOS, POST, debug console, exit port, test device, COM1, boot timer, PCI, pvpanic, ACPI, i8042.
    for (const u64 port :
         std::vector<u64>{0x60,  0x64,  0x70,  0x71,  0x80,  0x83,  0x92,  0xe0,  0xe9,  0xf4,  0xf7,
                          0x3f0, 0x3f8, 0x3ff, 0x501, 0x505, 0x600, 0x604, 0x610, 0xcf8, 0xcf9, 0xcfc}) {
        CAPTURE(port);
        CHECK(ports.name_at(port).empty());
    }
}

TEST_CASE("absent ports survive any access", "[absent]") {
    Fixture f;
    CHECK(hammer(f.absent, 0x1000) == 0);
    CHECK(f.absent.io_read({0x20, 2}) == 0xff00);
    CHECK(f.ports.read(0xc0, 4) == 0xffffffff);
}
