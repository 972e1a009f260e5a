// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/pci_bus.h"

#include <thread>

#include <catch2/catch.hpp>

#include "tests/unit/devices/pci/pci_fixture.h"

using namespace mayfly;

namespace {

constexpr u8 kDevfn = 1 << 3;
constexpr u16 kDecodeAll = 7;  // I/O, memory, bus master

/// A device at 00:01.0, decoding.
struct OneDevice : PciWorld {
    OneDevice() { bus.add(kDevfn, device.function); }
    FakeDevice device{window.config_space(kDevfn), 0xe010'0000, kDecodeAll};
};

/// Counts the accesses that the ports forwarded.
class OneByte final : public IoDevice {
  public:
    [[nodiscard]] std::string_view name() const override { return "one-byte"; }
    [[nodiscard]] u64 io_read(IoAccess at) override { return at.offset_bytes == 0 ? 0x5a : 0xee; }
    void io_write(IoAccess /*at*/, u64 value) override { last = value; }
    void reset() override { last = 0; }

    u64 last = 0;
};

}  // namespace

TEST_CASE("the bus has a generic host bridge and nothing else", "[pci_bus]") {
    PciWorld w;
    CHECK(w.config(0, 0x00) == 0x0008'1b36);
    CHECK(w.config(0, 0x08) == 0x0600'0000);
    CHECK(w.config(0, 0x0c) == 0);
    CHECK(w.config(0, 0x3c) == 0x0000'00ff);
    for (unsigned devfn = 1; devfn < 256; ++devfn) {
        REQUIRE(w.config(static_cast<u8>(devfn), 0) == 0xffff'ffff);
    }
    w.set_config(0, 0x04, 2, 0xffff);
    w.set_config(0, 0x10, 4, 0xffff'ffff);
    CHECK(w.config(0, 0x10) == 0);
    w.set_config(8, 0, 4, 0);
    CHECK(w.config(8, 0) == 0xffff'ffff);
}

TEST_CASE("function 0 says when it has siblings, whichever came first", "[pci_bus]") {
    PciWorld w;
    FakeDevice third(w.window.config_space(0x0b), 0, 0);
    FakeDevice first(w.window.config_space(0x08), 0, 0);
    FakeDevice other(w.window.config_space(0x10), 0, 0);
    w.bus.add(0x0b, third.function);
    w.bus.add(0x10, other.function);
    CHECK(w.config(0x00, 0x0e, 1) == 0);
    w.bus.add(0x08, first.function);
    CHECK(w.config(0x08, 0x0e, 1) == 0x80);
    CHECK(w.config(0x0b, 0x0e, 1) == 0);
    CHECK(w.config(0x10, 0x0e, 1) == 0);
    FakeDevice sibling(w.window.config_space(0x01), 0, 0);
    w.bus.add(0x01, sibling.function);
    CHECK(w.config(0x00, 0x0e, 1) == 0x80);
}

TEST_CASE("ECAM accesses of every size and alignment read the right bytes", "[pci_bus]") {
    OneDevice w;
    for (u64 offset = 0x7ff8; offset < 0x8060; ++offset) {
        for (const u8 size : {u8{1}, u8{2}, u8{4}, u8{8}}) {
            if (offset < 0x8058 && offset + size > 0x8050) continue;  // the client answers these
            REQUIRE(w.ecam.io_read({offset, size}) == w.memory.read(kWindowBase + offset, size));
        }
    }
    CHECK(w.ecam.io_read({0x8000, 8}) == 0x0010'0007'1042'1af4);
    CHECK(w.ecam.io_read({0xffff8, 8}) == ~u64{0});
    w.ecam.io_write({0x8010, 8}, 0xd100'0000'0000'0000);  // BAR 0 and BAR 1
    CHECK(w.config(kDevfn, 0x10) == 0);
    CHECK(w.config(kDevfn, 0x14) == 0xd100'0000);
}

TEST_CASE("port 0xcf8 selects and 0xcfc transfers", "[pci_bus]") {
    OneDevice w;
    CHECK(w.ports.io_read({0, 4}) == 0);
    w.ports.io_write({0, 4}, 0xffff'ffff);
    CHECK(w.ports.io_read({0, 4}) == 0x80ff'fffc);
    w.ports.io_write({0, 4}, 0x8000'0800);
    CHECK(w.ports.io_read({4, 4}) == 0x1042'1af4);
    CHECK(w.ports.io_read({4, 2}) == 0x1af4);
    CHECK(w.ports.io_read({6, 2}) == 0x1042);
    CHECK(w.ports.io_read({5, 1}) == 0x1a);
    CHECK(w.ports.io_read({7, 1}) == 0x10);
    w.ports.io_write({0, 4}, 0x8000'083c);
    w.ports.io_write({4, 1}, 9);
    CHECK(w.config(kDevfn, 0x3c, 1) == 9);
    w.ports.io_write({0, 4}, 0x8000'0810);
    w.ports.io_write({6, 2}, 0xd234);
    CHECK(w.config(kDevfn, 0x10) == 0xd234'0000);
}

TEST_CASE("the data port reads ones without enable bit, on other buses, and across its dword", "[pci_bus]") {
    OneDevice w;
    w.ports.io_write({0, 4}, 0x0000'0800);
    CHECK(w.ports.io_read({4, 4}) == 0xffff'ffff);
    w.ports.io_write({0, 4}, 0x8001'0800);
    CHECK(w.ports.io_read({4, 4}) == 0xffff'ffff);
    w.ports.io_write({4, 4}, 0);
    w.ports.io_write({0, 4}, 0x8000'f800);
    CHECK(w.ports.io_read({4, 2}) == 0xffff);
    w.ports.io_write({0, 4}, 0x8000'0800);
    CHECK(w.ports.io_read({2, 4}) == 0xffff'ffff);
    CHECK(w.ports.io_read({6, 4}) == 0xffff'ffff);
    CHECK(w.ports.io_read({7, 2}) == 0xffff);
    w.ports.reset();
    CHECK(w.ports.io_read({0, 4}) == 0);
}

TEST_CASE("narrow accesses leave the address port alone; 0xcf9 belongs to another chip", "[pci_bus]") {
    OneDevice w;
    OneByte chip;
    ConfigPorts ports(w.bus, &chip);
    ports.io_write({0, 4}, 0x8000'0800);
    ports.io_write({1, 1}, 0x06);
    CHECK(chip.last == 6);
    CHECK(ports.io_read({1, 1}) == 0x5a);
    ports.io_write({3, 1}, 1);  // Linux's first step of probing for this mechanism
    ports.io_write({0, 2}, 0);
    ports.io_write({0, 1}, 0);
    CHECK(ports.io_read({0, 4}) == 0x8000'0800);
    CHECK(ports.io_read({0, 1}) == 0xff);
    CHECK(ports.io_read({1, 2}) == 0xffff);
    CHECK(w.ports.io_read({1, 1}) == 0xff);
    ports.reset();
    CHECK(chip.last == 0);
}

TEST_CASE("a BAR access reaches the client with its offset and size", "[pci_bus]") {
    OneDevice w;
    CHECK(w.pci_memory.io_read({0xd000'2004, 4}) == 0x5566'7788);
    CHECK(w.device.last_bar == 1);
    CHECK(w.device.last.offset_bytes == 0x2004);
    CHECK(w.device.last.size_bytes == 4);
    w.pci_io.io_write({0xc01f, 1}, 0x42);
    CHECK(w.device.last_bar == 2);
    CHECK(w.device.last.offset_bytes == 0x1f);
    CHECK(w.device.last_value == 0x42);
    CHECK(w.pci_memory.io_read({0xc010, 4}) == 0xffff'ffff);
    CHECK(w.pci_io.io_read({0xd000, 4}) == 0xffff'ffff);
}

TEST_CASE("an access that leaves its BAR, or finds none, reads ones", "[pci_bus]") {
    OneDevice w;
    CHECK(w.pci_memory.io_read({0xcfff'fffe, 4}) == 0xffff'ffff);
    CHECK(w.pci_memory.io_read({0xd000'3ffd, 4}) == 0xffff'ffff);
    CHECK(w.pci_memory.io_read({0xd000'3ff9, 8}) == ~u64{0});
    CHECK(w.pci_memory.io_read({0xd000'4000, 1}) == 0xff);
    CHECK(w.pci_memory.io_read({~u64{0}, 1}) == 0xff);
    CHECK(w.pci_memory.io_read({~u64{0} - 3, 8}) == ~u64{0});
    CHECK(w.pci_io.io_read({0xc01e, 4}) == 0xffff'ffff);
    CHECK(w.device.bar_reads == 0);
    w.pci_memory.io_write({0xd000'4000, 4}, 0);
    w.pci_memory.io_write({0xd000'3ffe, 4}, 0);
    CHECK(w.device.bar_writes == 0);
}

TEST_CASE("a BAR decodes where it was moved and nowhere while switched off", "[pci_bus]") {
    OneDevice w;
    w.set_config(kDevfn, 0x14, 4, 0xffff'ffff);  // sized while decoding: at the edge of 4 GiB for a moment
    CHECK(w.pci_memory.io_read({0xffff'fff8, 8}) == w.device.answer);
    CHECK(w.pci_memory.io_read({0xffff'fffc, 8}) == ~u64{0});
    CHECK(w.pci_memory.io_read({0xd000'0000, 4}) == 0xffff'ffff);
    w.set_config(kDevfn, 0x14, 4, 0);
    CHECK(w.pci_memory.io_read({0, 8}) == w.device.answer);
    CHECK(w.device.decode_changes == 2);
    w.set_config(kDevfn, 0x04, 2, 1);
    CHECK(w.pci_memory.io_read({0, 8}) == ~u64{0});
    CHECK(w.pci_io.io_read({0xc000, 4}) != 0xffff'ffff);
    CHECK(w.device.decode_changes == 3);
    w.set_config(kDevfn, 0x14, 4, 0xd800'0000);
    CHECK(w.device.decode_changes == 3);
    w.set_config(kDevfn, 0x04, 2, 6);
    CHECK(w.device.decode_changes == 4);
    CHECK(w.pci_memory.io_read({0xd800'0000, 8}) == w.device.answer);
    CHECK(w.pci_io.io_read({0xc000, 4}) == 0xffff'ffff);
}

TEST_CASE("where BARs overlap, the lowest function answers", "[pci_bus]") {
    OneDevice w;
    FakeDevice second(w.window.config_space(0x10), 0xe010'1000, kDecodeAll);
    w.bus.add(0x10, second.function);
    (void)w.pci_memory.io_read({0xd000'0000, 4});
    CHECK(w.device.bar_reads == 1);
    CHECK(second.bar_reads == 0);
    w.set_config(kDevfn, 0x14, 4, 0xd000'4000);
    (void)w.pci_memory.io_read({0xd000'0000, 4});
    CHECK(second.bar_reads == 1);
    w.set_config(kDevfn, 0x10, 4, 0xd000'4000);  // two BARs of one function
    (void)w.pci_memory.io_read({0xd000'4000, 4});
    CHECK(w.device.last_bar == 0);
}

TEST_CASE("no BAR decodes over the ECAM, and only config BARs in the window's pages", "[pci_bus]") {
    OneDevice w;
    for (const u32 at : {0xe000'0000u, 0xe00f'c000u, 0xe010'0000u, 0xe010'4000u, 0xe01f'c000u}) {
        w.set_config(kDevfn, 0x14, 4, at);
        (void)w.pci_memory.io_read({at + 0x3000u, 4});
        w.pci_memory.io_write({at + 0x2000u, 4}, 1);
    }
    CHECK(w.device.bar_reads == 0);
    CHECK(w.device.bar_writes == 0);
    w.set_config(kDevfn, 0x10, 4, 0xe000'8000);
    CHECK(w.mmio_read(0xe000'8000, 4) == 0x1042'1af4);
    CHECK(w.memory.read(0xe000'8000, 4) == 0x1042'1af4);
}

TEST_CASE("the client is told of every write to its configuration space", "[pci_bus]") {
    OneDevice w;
    w.set_config(kDevfn, 0x52, 2, 7);
    w.set_config(kDevfn, 0x100, 4, 7);
    CHECK(w.device.config_writes == std::vector<std::pair<u16, u8>>{{0x52, 2}, {0x100, 4}});
    CHECK(w.config(kDevfn, 0x100) == 0);
    w.ecam.io_write({0x8000 + 0x43, 1}, 0x80);
    CHECK(w.device.msix.is_enabled());
}

TEST_CASE("reads with effects ask the client when they trap", "[pci_bus]") {
    OneDevice w;
    CHECK(w.device.cap_data == 0x50);
    CHECK(w.config(kDevfn, 0x50) == 0xa500'0001);
    CHECK(w.memory.read(kWindowBase + 0x8050, 4) == 0xa500'0001);
    CHECK(w.config(kDevfn, 0x50, 1) == 2);
    CHECK(w.config(kDevfn, 0x4c) == 0x5a08'0009);
    CHECK(w.device.intercepted == std::vector<std::pair<u16, u8>>{{0x50, 4}, {0x50, 1}});
}

TEST_CASE("reset restores every function to firmware's settings", "[pci_bus]") {
    OneDevice w;
    w.set_config(kDevfn, 0x10, 4, 0xd400'0000);
    w.set_config(kDevfn, 0x14, 4, 0xd500'0000);
    w.device.function.set_intx(true);
    w.mmio_write(0xd400'0000, 4, 3);
    w.ecam.reset();
    CHECK_FALSE(w.device.pin.level);
    CHECK(w.memory.read(0xe010'0004, 4) == 0x0303'0303);
    CHECK(w.pci_memory.io_read({0xd000'0000, 8}) == w.device.answer);
    CHECK(w.pci_memory.io_read({0xd500'0000, 8}) == ~u64{0});
}

TEST_CASE("vCPUs and a device's own thread may use the bus at the same time", "[pci_bus]") {
    OneDevice w;
    constexpr int kTurns = 2000;
    std::thread mover([&] {
        for (u32 i = 0; i < kTurns; ++i) {
            w.set_config(kDevfn, 0x10, 4, i % 3 == 0 ? 0xe010'3000 : 0xe010'0000 + (i % 2) * 0x1000);
            w.set_config(kDevfn, 0x04, 2, i % 5 == 0 ? 0x404u : kDecodeAll);
            w.set_config(kDevfn, 0x42, 2, i % 2 == 0 ? 0x8000 : 0);
        }
    });
    std::thread accesses([&] {
        for (u32 i = 0; i < kTurns; ++i) {
            w.mmio_write(0xe010'0000, 4, i);
            w.mmio_write(0xe010'0000 + 0x800 + 12, 4, i % 2);
            (void)w.mmio_read(0xd000'1000, 8);
            (void)w.config(kDevfn, 0x50);
        }
    });
    for (int i = 0; i < kTurns; ++i) {
        const Lock guard(w.device.mutex);
        if (w.device.msix.raise(0) == Msix::Raise::Ignored) w.device.function.set_intx(i % 2 == 0);
    }
    mover.join();
    accesses.join();
    w.set_config(kDevfn, 0x04, 2, kDecodeAll);
    w.set_config(kDevfn, 0x10, 4, 0xe010'0000);
    w.mmio_write(0xe010'0000, 4, 0x11);
    CHECK(w.memory.read(0xe010'0004, 4) == 0x1111'1111);
}
