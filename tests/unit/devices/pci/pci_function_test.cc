// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/pci_function.h"

#include <array>
#include <cstring>

#include <catch2/catch.hpp>

#include "tests/unit/devices/pci/pci_fixture.h"

using namespace mayfly;

namespace {

/// A client for BARs that no access reaches.
class Nobody final : public FunctionClient {
  public:
    [[nodiscard]] u64 bar_read(u8 /*bar*/, IoAccess /*at*/) override { return 0; }
    void bar_write(u8 /*bar*/, IoAccess /*at*/, u64 /*value*/) override {}
    void on_decode_changed() override {}
    void on_config_write(u16 /*offset*/, u8 /*size*/) override {}
    void on_config_read(u16 offset, u8 size_bytes) override { reads.push_back({offset, size_bytes}); }
    void on_config_page_moved(ConfigPage /*page*/) override {}

    std::vector<std::pair<u16, u8>> reads;
};

struct Alone {
    /// The page's earlier content does not matter.
    static AlignedPage used_page() {
        AlignedPage page;
        page.bytes.fill(std::byte{0xcc});
        return page;
    }

    AlignedPage page = used_page();
    Nobody client;
    FakeIrqLine pin;
    PciFunction function{page.bytes,
                         {.vendor_id = 0x1af4,
                          .device_id = 0x1041,
                          .revision_id = 0x07,
                          .class_code = 0x02'00'01,
                          .subsystem_vendor_id = 0xabcd,
                          .subsystem_id = 0x1234,
                          .command = 0,
                          .interrupt_pin = 1,
                          .interrupt_line = 11,
                          .bars = {{{BarKind::Memory32, 0x4000, 0xd000'4000},
                                    {},
                                    {BarKind::Io, 32, 0xc020},
                                    {},
                                    {},
                                    {BarKind::Memory32, 16, 0xfffffff0}}}},
                         &client,
                         &pin};

    [[nodiscard]] u32 image(u16 offset) const { return load_word<u32>(page.bytes, offset); }
};

}  // namespace

TEST_CASE("a function's header has the options that it was built with", "[pci_function]") {
    Alone a;
    // PCI Local Bus Specification 3.0, figure 6-1.
    CHECK(a.image(0x00) == 0x1041'1af4);
    CHECK(a.image(0x04) == 0);
    CHECK(a.image(0x08) == 0x02'00'01'07);
    CHECK(a.image(0x0c) == 0);
    CHECK(a.image(0x10) == 0xd000'4000);
    CHECK(a.image(0x14) == 0);
    CHECK(a.image(0x18) == 0xc021);
    CHECK(a.image(0x24) == 0xffff'fff0);
    CHECK(a.image(0x2c) == 0x1234'abcd);
    CHECK(a.image(0x30) == 0);
    CHECK(a.image(0x34) == 0);
    CHECK(a.image(0x3c) == 0x0000'010b);
    for (u16 at = 0x40; at < 4096; at = static_cast<u16>(at + 4)) REQUIRE(a.image(at) == 0);
}

TEST_CASE("every register reads the same at every size", "[pci_function]") {
    Alone a;
    for (u16 at = 0; at < 0x140; ++at) {
        for (const u8 size : {u8{1}, u8{2}, u8{4}}) {
            if (at % 4 + size > 4) continue;
            REQUIRE(a.function.config_read(at, size) == load_bytes(a.page.bytes, at, size));
        }
    }
}

TEST_CASE("writing ones shows which bits of the header are writable", "[pci_function]") {
    Alone a;
    for (u16 at = 0; at < 4096; at = static_cast<u16>(at + 4)) {
        (void)a.function.config_write(at, 4, 0xffff'ffff);
    }
    CHECK(a.image(0x00) == 0x1041'1af4);
    CHECK(a.image(0x04) == 0x0000'0407);  // I/O, memory, bus master, interrupt disable
    CHECK(a.image(0x08) == 0x02'00'01'07);
    CHECK(a.image(0x0c) == 0x0000'00ff);  // cache line size, no latency timer
    CHECK(a.image(0x10) == 0xffff'c000);
    CHECK(a.image(0x14) == 0);
    CHECK(a.image(0x18) == 0xffff'ffe1);
    CHECK(a.image(0x24) == 0xffff'fff0);
    CHECK(a.image(0x2c) == 0x1234'abcd);
    CHECK(a.image(0x30) == 0);
    CHECK(a.image(0x3c) == 0x0000'01ff);
    for (u16 at = 0x40; at < 4096; at = static_cast<u16>(at + 4)) REQUIRE(a.image(at) == 0);
}

TEST_CASE("a byte or word written changes no other byte of the register", "[pci_function]") {
    Alone a;
    (void)a.function.config_write(0x10, 4, 0);
    (void)a.function.config_write(0x13, 1, 0xab);
    CHECK(a.image(0x10) == 0xab00'0000);
    (void)a.function.config_write(0x10, 2, 0xffff);
    CHECK(a.image(0x10) == 0xab00'c000);
    (void)a.function.config_write(0x11, 2, 0x1234);
    CHECK(a.image(0x10) == 0xab12'0000);
    (void)a.function.config_write(0x3c, 1, 5);
    CHECK(a.image(0x3c) == 0x0105);
}

TEST_CASE("a BAR is sized as the specification's implementation note does it", "[pci_function]") {
    Alone a;
    // §6.2.5.1: save, write ones, read, clear the encoding bits, invert, add one, restore.
    const u32 saved = a.function.config_read(0x10, 4);
    (void)a.function.config_write(0x10, 4, 0xffff'ffff);
    CHECK(~(a.function.config_read(0x10, 4) & ~u32{0xf}) + 1 == 0x4000);
    (void)a.function.config_write(0x10, 4, saved);
    CHECK(a.image(0x10) == saved);
    (void)a.function.config_write(0x18, 4, 0xffff'ffff);
    CHECK(~(a.function.config_read(0x18, 4) & ~u32{0x3}) + 1 == 32);
}

TEST_CASE("a BAR decodes only while its space is switched on in Command", "[pci_function]") {
    Alone a;
    CHECK(a.function.bar_address(0) == std::nullopt);
    CHECK(a.function.config_write(0x04, 2, 2));
    CHECK(a.function.bar_address(0) == 0xd000'4000);
    CHECK(a.function.bar_address(1) == std::nullopt);
    CHECK(a.function.bar_address(2) == std::nullopt);
    CHECK(a.function.config_write(0x04, 1, 1));
    CHECK(a.function.bar_address(0) == std::nullopt);
    CHECK(a.function.bar_address(2) == 0xc020);
    CHECK_FALSE(a.function.config_write(0x04, 2, 5));            // bus master alone moves nothing
    CHECK_FALSE(a.function.config_write(0x10, 4, 0x8000'0000));  // not decoded now
    CHECK(a.function.config_write(0x18, 4, 0xd000));
    CHECK_FALSE(a.function.config_write(0x18, 4, 0xd000));
    CHECK(a.function.bar_address(2) == 0xd000);
}

TEST_CASE("capabilities form a list that ends", "[pci_function]") {
    Alone a;
    const std::array<u8, 3> first_body = {0x11, 0x22, 0x33};
    const std::array<u8, 2> second_body = {0x44, 0x55};
    const std::array<u8, 2> second_mask = {0x00, 0xf0};
    const u8 first = a.function.add_capability(0x09, first_body, {});
    const u8 second = a.function.add_capability(0x05, second_body, second_mask);
    CHECK(first == 0x40);
    CHECK(second == 0x48);
    CHECK((a.image(0x04) >> 16) == 0x10);
    CHECK(a.image(0x34) == 0x40);
    CHECK(a.image(0x40) == 0x2211'4809);
    CHECK(a.image(0x44) == 0x33);
    CHECK(a.image(0x48) == 0x5544'0005);
    (void)a.function.config_write(0x40, 4, 0xffff'ffff);
    (void)a.function.config_write(0x48, 4, 0xffff'ffff);
    CHECK(a.image(0x40) == 0x2211'4809);
    CHECK(a.image(0x48) == 0xf544'0005);
}

TEST_CASE("error bits of Status are cleared by writing ones to them", "[pci_function]") {
    Alone a;
    a.function.set_status(0xffff);
    CHECK((a.image(0x04) >> 16) == 0xf900);
    (void)a.function.config_write(0x06, 2, 0x0100);
    CHECK((a.image(0x04) >> 16) == 0xf800);
    (void)a.function.config_write(0x04, 4, 0x8000'0002);
    CHECK(a.image(0x04) == 0x7800'0002);
    (void)a.function.config_write(0x04, 2, 0xffff);
    CHECK(a.image(0x04) == 0x7800'0407);
    (void)a.function.config_write(0x07, 1, 0xff);
    CHECK(a.image(0x04) == 0x0000'0407);
}

TEST_CASE("INTx shows in Status and reaches the pin unless it is disabled", "[pci_function]") {
    Alone a;
    a.function.set_intx(true);
    CHECK((a.image(0x04) >> 16) == 0x08);
    CHECK(a.pin.level);
    a.function.set_intx(true);
    CHECK(a.pin.calls == 1);
    (void)a.function.config_write(0x04, 2, 0x0400);
    CHECK((a.image(0x04) >> 16) == 0x08);
    CHECK_FALSE(a.pin.level);
    (void)a.function.config_write(0x05, 1, 0);
    CHECK(a.pin.level);
    CHECK(a.pin.rising_edges == 2);
    (void)a.function.config_write(0x06, 2, 0xffff);  // software does not clear this bit
    CHECK((a.image(0x04) >> 16) == 0x08);
    a.function.set_intx(false);
    CHECK((a.image(0x04) >> 16) == 0);
    CHECK_FALSE(a.pin.level);
    (void)a.function.config_write(0x04, 2, 0x0400);
    a.function.set_intx(true);
    CHECK_FALSE(a.pin.level);
}

TEST_CASE("a function without a pin keeps the Status bit all the same", "[pci_function]") {
    AlignedPage page;
    PciFunction function(page.bytes, {.vendor_id = 1}, nullptr, nullptr);
    function.set_intx(true);
    CHECK(function.config16(0x06) == 0x08);
}

TEST_CASE("reads of chosen dwords ask the client first", "[pci_function]") {
    Alone a;
    const std::array<u8, 10> body{};
    const u8 at = a.function.add_capability(9, body, {});
    a.function.intercept_reads(static_cast<u16>(at + 6), 4);
    (void)a.function.config_read(at, 4);
    CHECK(a.client.reads.empty());
    (void)a.function.config_read(static_cast<u16>(at + 7), 1);
    (void)a.function.config_read(static_cast<u16>(at + 8), 2);
    CHECK(a.client.reads == std::vector<std::pair<u16, u8>>{{0x47, 1}, {0x48, 2}});
    CHECK(a.function.config_read(0x100, 4) == 0);
}

TEST_CASE("refreshed bytes are what a guest reads, whatever their alignment", "[pci_function]") {
    Alone a;
    const std::array<std::byte, 7> bytes = {std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4},
                                            std::byte{5}, std::byte{6}, std::byte{7}};
    a.function.refresh(0x81, bytes);
    CHECK(a.image(0x80) == 0x0302'0100);
    CHECK(a.image(0x84) == 0x0706'0504);
    CHECK(a.image(0x88) == 0);
}

TEST_CASE("reset restores the function's options, in the middle of anything", "[pci_function]") {
    Alone a;
    const std::array<u8, 2> body = {0x44, 0x55};
    const std::array<u8, 2> mask = {0xff, 0xff};
    (void)a.function.add_capability(9, body, mask);
    std::array<std::byte, 4096> before;
    std::memcpy(before.data(), a.page.bytes.data(), before.size());
    for (u16 at = 0; at < 256; at = static_cast<u16>(at + 4))
        (void)a.function.config_write(at, 4, 0x5a5a'5a5f);
    (void)a.function.config_write(0x04, 2, 0x0003);
    a.function.set_intx(true);
    a.function.set_status(0x8000);
    a.function.reset();
    CHECK(std::memcmp(before.data(), a.page.bytes.data(), before.size()) == 0);
    CHECK_FALSE(a.pin.level);
    a.function.set_intx(true);
    CHECK(a.pin.level);
}
