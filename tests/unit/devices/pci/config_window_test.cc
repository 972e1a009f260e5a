// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/config_window.h"

#include <algorithm>
#include <random>

#include <catch2/catch.hpp>

#include "tests/unit/devices/pci/pci_fixture.h"

using namespace mayfly;

namespace {

constexpr u16 kMemory = 2;

/// Two devices whose config BARs firmware put into pages 0 and 1.
struct TwoDevices : PciWorld {
    TwoDevices() {
        bus.add(0x08, a.function);
        bus.add(0x10, b.function);
        mmio_write(kPagesBase, 4, 0xa);
        mmio_write(kPagesBase + 0x1000, 4, 0xb);
    }
    [[nodiscard]] u64 shown(u8 index) { return memory.read(kPagesBase + index * 0x1000u + 4, 4); }

    FakeDevice a{window.config_space(0x08), 0xe010'0000, kMemory};
    FakeDevice b{window.config_space(0x10), 0xe010'1000, kMemory};
};

constexpr u64 kShowsA = 0x0a0a'0a0a;
constexpr u64 kShowsB = 0x0b0b'0b0b;
constexpr u64 kShowsNone = 0xffff'ffff;

}  // namespace

TEST_CASE("the window has an ECAM and then a page for each function number", "[config_window]") {
    PciWorld w;
    CHECK(w.window.config_space(0xff).data() == w.memory.bytes().data() + 0xff000);
    CHECK(w.window.page_address(0) == 0xe010'0000);
    CHECK(w.window.page_address(255) == 0xe01f'f000);
    CHECK(w.window.overlaps(0xe000'0000, 1));
    CHECK(w.window.overlaps(0xe01f'ffff, 1));
    CHECK(w.window.overlaps(0xdfff'ffff, 2));
    CHECK_FALSE(w.window.overlaps(0xdfff'fffe, 2));
    CHECK_FALSE(w.window.overlaps(0xe020'0000, 8));
    CHECK_FALSE(w.window.overlaps(~u64{0}, 8));
}

TEST_CASE("a page shows its config BAR from the moment it is added", "[config_window]") {
    TwoDevices w;
    CHECK(w.shown(0) == kShowsA);
    CHECK(w.shown(1) == kShowsB);
    CHECK(w.shown(2) == kShowsNone);
    CHECK(w.a.page_moves == 1);
    CHECK(w.mmio_read(0xe010'0004, 4) == kShowsA);
}

TEST_CASE("decoding switched off empties the page, and on fills it", "[config_window]") {
    TwoDevices w;
    w.set_config(0x08, 0x04, 2, 0);
    CHECK(w.shown(0) == kShowsNone);
    CHECK(w.mmio_read(0xe010'0004, 4) == kShowsNone);
    w.set_config(0x08, 0x04, 2, kMemory);
    CHECK(w.shown(0) == kShowsA);
    CHECK(w.a.page_moves == 3);
    w.set_config(0x08, 0x04, 2, kMemory | 4);
    CHECK(w.a.page_moves == 3);
}

TEST_CASE("a config BAR outside the window works by trapping", "[config_window]") {
    TwoDevices w;
    for (const u32 elsewhere : {0xd800'0000u, 0u, 0xffff'f000u, 0xe020'0000u, 0xe00f'f000u}) {
        w.set_config(0x08, 0x10, 4, elsewhere);
        CHECK(w.shown(0) == kShowsNone);
        CHECK(w.a.page.data() != w.memory.bytes().data());
    }
    CHECK(w.a.page_moves == 2);
    w.set_config(0x08, 0x10, 4, 0xd800'0000);
    CHECK(w.mmio_read(0xd800'0004, 4) == kShowsA);
    w.mmio_write(0xd800'0000, 4, 0xc);
    CHECK(w.mmio_read(0xd800'0004, 4) == 0x0c0c'0c0c);
    w.set_config(0x08, 0x10, 4, 0xe01f'f000);
    CHECK(w.shown(255) == 0x0c0c'0c0c);
}

TEST_CASE("the content moves with the BAR inside the window, its MSI-X table too", "[config_window]") {
    TwoDevices w;
    w.set_config(0x08, 0x42, 2, 0x8000);
    w.mmio_write(0xe010'0808, 4, 0x77);
    w.set_config(0x08, 0x10, 4, 0xe010'5000);
    CHECK(w.shown(0) == kShowsNone);
    CHECK(w.shown(5) == kShowsA);
    CHECK(w.memory.read(0xe010'5808, 4) == 0x77);
    w.mmio_write(0xe010'580c, 4, 0);
    CHECK(w.memory.read(0xe010'580c, 4) == 0);
    CHECK(w.a.log.take() == std::vector<MsixLog::Event>{{MsixLog::What::Unmasked, 0, 0, 0x77}});
}

TEST_CASE("where two config BARs share a page, the lower function is shown", "[config_window]") {
    TwoDevices w;
    w.set_config(0x10, 0x10, 4, 0xe010'0000);
    CHECK(w.shown(0) == kShowsA);
    CHECK(w.shown(1) == kShowsNone);
    w.mmio_write(0xe010'0000, 4, 0xa);
    CHECK(w.b.bar_writes == 1);
    w.set_config(0x08, 0x04, 2, 0);
    CHECK(w.shown(0) == kShowsB);
    CHECK(w.mmio_read(0xe010'0004, 4) == kShowsB);
    w.set_config(0x08, 0x04, 2, kMemory);
    CHECK(w.shown(0) == kShowsA);
    w.set_config(0x08, 0x10, 4, 0xe010'1000);
    CHECK(w.shown(0) == kShowsB);
    CHECK(w.shown(1) == kShowsA);
}

TEST_CASE("a function that firmware left switched off gets its page when it decodes", "[config_window]") {
    PciWorld w;
    FakeDevice device(w.window.config_space(0x08), 0, 0);
    w.bus.add(0x08, device.function);
    CHECK(device.page_moves == 1);
    w.set_config(0x08, 0x10, 4, 0xe010'7000);
    CHECK(device.page_moves == 1);
    w.set_config(0x08, 0x04, 2, kMemory);
    CHECK(device.page_moves == 2);
    CHECK(w.memory.read(0xe010'7000, 8) == 0);
}

TEST_CASE("nothing but the pages of functions is touched", "[config_window]") {
    TwoDevices w;
    w.set_config(0x08, 0x10, 4, 0xe010'9000);
    for (std::size_t page = 0; page < 512; ++page) {
        if (page == 0 || page == 0x08 || page == 0x10 || page == 256 + 9 || page == 256 + 1) continue;
        const auto bytes = w.memory.bytes().subspan(page * 4096, 4096);
        REQUIRE(std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0xff}; }));
    }
}

TEST_CASE("the window's memory reads as trapped reads do after any writes", "[config_window]") {
    TwoDevices w;
    std::mt19937 random(20260);
    const auto pick = [&](std::initializer_list<u32> values) {
        return *(values.begin() + random() % values.size());
    };
    for (int turn = 0; turn < 20000; ++turn) {
        const u8 devfn = static_cast<u8>(pick({0, 8, 16, 24}));
        const u8 size = static_cast<u8>(pick({1, 2, 4, 8}));
        const u32 value = pick({0, 2, 7, 0xffff'ffff, 0xe010'0000, 0xe010'1000, 0xd000'0000, 0xe00f'f000,
                                static_cast<u32>(random())});
        switch (random() % 4) {
            case 0: w.mmio_write(kWindowBase + devfn * 4096u + random() % 0x60, size, value); break;
            case 1: w.set_config(devfn, static_cast<u16>(pick({0x04, 0x10, 0x14})), 4, value); break;
            case 2: w.mmio_write(kPagesBase + random() % 0x2000, size, value); break;
            default: w.mmio_write(kPagesBase + pick({0, 8, 0x800, 0x80c, 0x1000, 0x1808}), 8, value); break;
        }
        const u64 config = kWindowBase + devfn * 4096u + random() % 0x50;  // below the client's registers
        const u8 read_size = static_cast<u8>(config % 4096 > 0x48 ? 1 : size);
        REQUIRE(w.mmio_read(config, read_size) == w.memory.read(config, read_size));
        const u64 content = kPagesBase + (random() % 0x3000) / 8 * 8 + (random() % 8) / size * size;
        REQUIRE(w.mmio_read(content, size) == w.memory.read(content, size));
    }
    CHECK(w.a.page_moves > 100);
}
