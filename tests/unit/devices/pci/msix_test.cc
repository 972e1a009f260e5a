// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/msix.h"

#include <catch2/catch.hpp>

#include "tests/unit/devices/pci/pci_fixture.h"

using namespace mayfly;

namespace {

using What = MsixLog::What;
using Events = std::vector<MsixLog::Event>;

constexpr u16 kEnable = 0x8000;
constexpr u16 kFunctionMask = 0x4000;

struct Table {
    explicit Table(u16 count = 4)
        : memory(Msix::table_bytes(count) / sizeof(u64), 0xcccc'cccc'cccc'cccc),
          msix({.vector_count = count,
                .table_bar = 1,
                .table_offset_bytes = 0x800,
                .pba_bar = 2,
                .pba_offset_bytes = 0x1000},
               std::as_writable_bytes(std::span(memory)), function, log) {}

    void control(u16 value) {
        (void)function.config_write(0x42, 2, value);
        msix.on_config_write(0x42, 2);
    }
    void write(u64 offset, u32 value) { msix.table_write({offset, 4}, value); }
    /// As a driver does it: address, data, then the mask.
    void entry(u16 vector, u64 address, u32 data, u32 mask) {
        const u64 at = u64{vector} * 16;
        write(at, static_cast<u32>(address));
        write(at + 4, static_cast<u32>(address >> 32));
        write(at + 8, data);
        write(at + 12, mask);
    }
    [[nodiscard]] u64 table(u64 offset) const { return msix.table_read({offset, 4}); }
    [[nodiscard]] u64 pba() const { return msix.pba_read({0, 8}); }

    AlignedPage image;
    PciFunction function{image.bytes, {.vendor_id = 1}, nullptr, nullptr};
    MsixLog log;
    std::vector<u64> memory;
    Msix msix;
};

}  // namespace

TEST_CASE("the MSI-X capability has the table's size and both places", "[msix]") {
    Table t(2048);
    // PCI Local Bus Specification 3.0, figure 6-10.
    CHECK(t.function.config32(0x40) == 0x07ff'0011);
    CHECK(t.function.config32(0x44) == 0x0000'0801);
    CHECK(t.function.config32(0x48) == 0x0000'1002);
    CHECK(Msix::table_bytes(2048) == 32768);
    CHECK(Msix::pba_bytes(2048) == 256);
    CHECK(Msix::pba_bytes(65) == 16);
    CHECK(Msix::pba_bytes(1) == 8);
    t.control(0xffff);
    CHECK(t.function.config16(0x42) == 0xc7ff);
}

TEST_CASE("every vector is masked and zero at reset", "[msix]") {
    Table t;
    for (u64 at = 0; at < 64; at += 16) {
        CHECK(t.msix.table_read({at, 8}) == 0);
        CHECK(t.msix.table_read({at + 8, 8}) == u64{1} << 32);
    }
    CHECK(t.pba() == 0);
    CHECK_FALSE(t.msix.is_enabled());
    CHECK(t.log.take().empty());
}

TEST_CASE("an event is ignored while MSI-X is off, and for a vector that does not exist", "[msix]") {
    Table t;
    CHECK(t.msix.raise(0) == Msix::Raise::Ignored);
    t.control(kEnable);
    CHECK(t.msix.raise(4) == Msix::Raise::Ignored);
    CHECK(t.msix.raise(0xffff) == Msix::Raise::Ignored);
    CHECK(t.pba() == 0);
}

TEST_CASE("an unmasked vector sends its message", "[msix]") {
    Table t;
    t.control(kEnable);
    t.entry(2, 0xfee0'1000, 0x41, 0);
    CHECK(t.log.take() == Events{{What::Unmasked, 2, 0xfee0'1000, 0x41}});
    CHECK(t.msix.raise(2) == Msix::Raise::Send);
    CHECK(t.msix.message(2).address == 0xfee0'1000);
    CHECK(t.msix.message(2).data == 0x41);
    CHECK(t.msix.raise(1) == Msix::Raise::Pended);
    CHECK(t.pba() == 2);
}

TEST_CASE("entries written while masked make no call until the mask is cleared", "[msix]") {
    Table t;
    t.control(kEnable | kFunctionMask);
    t.entry(0, 0xfee0'0000, 0xef, 1);
    t.entry(0, 0xfee0'2000, 0x22, 1);
    t.entry(1, 0xfee0'3000, 0x23, 0);
    CHECK(t.log.take().empty());
    t.control(kEnable);
    CHECK(t.log.take() == Events{{What::Unmasked, 1, 0xfee0'3000, 0x23}});
    t.write(12, 0);
    CHECK(t.log.take() == Events{{What::Unmasked, 0, 0xfee0'2000, 0x22}});
    t.write(12, 0);
    t.entry(0, 0xfee0'2000, 0x22, 0);
    t.control(kEnable);
    CHECK(t.log.take().empty());
    t.write(8, 0x24);
    CHECK(t.log.take() == Events{{What::Unmasked, 0, 0xfee0'2000, 0x24}});
}

TEST_CASE("a pending event is delivered when its own mask is cleared", "[msix]") {
    Table t;
    t.control(kEnable);
    t.entry(3, 0xfee0'0000, 0x30, 0);
    t.write(3 * 16 + 12, 1);
    CHECK(t.log.take() == Events{{What::Unmasked, 3, 0xfee0'0000, 0x30}, {What::Masked, 3, 0, 0}});
    CHECK(t.msix.raise(3) == Msix::Raise::Pended);
    CHECK(t.msix.raise(3) == Msix::Raise::Pended);
    CHECK(t.pba() == 8);
    t.write(3 * 16 + 8, 0x31);
    t.write(3 * 16 + 12, 0);
    CHECK(t.log.take() ==
          Events{{What::Unmasked, 3, 0xfee0'0000, 0x31}, {What::Delivered, 3, 0xfee0'0000, 0x31}});
    CHECK(t.pba() == 0);
    CHECK(t.msix.raise(3) == Msix::Raise::Send);
}

TEST_CASE("the function mask holds every vector back and lets pending ones go", "[msix]") {
    Table t;
    t.control(kEnable);
    t.entry(0, 0xfee0'0000, 0x30, 0);
    t.entry(1, 0xfee0'0000, 0x31, 0);
    (void)t.log.take();
    t.control(kEnable | kFunctionMask);
    CHECK(t.log.take() == Events{{What::Masked, 0, 0, 0}, {What::Masked, 1, 0, 0}});
    CHECK(t.msix.raise(1) == Msix::Raise::Pended);
    CHECK(t.msix.raise(2) == Msix::Raise::Pended);
    CHECK(t.pba() == 6);
    t.control(kEnable);
    CHECK(t.log.take() == Events{{What::Unmasked, 0, 0xfee0'0000, 0x30},
                                 {What::Unmasked, 1, 0xfee0'0000, 0x31},
                                 {What::Delivered, 1, 0xfee0'0000, 0x31}});
    CHECK(t.pba() == 4);  // vector 2 is still masked
}

TEST_CASE("switching MSI-X off masks all and forgets pending events", "[msix]") {
    Table t;
    t.control(kEnable);
    t.entry(0, 0xfee0'0000, 0x30, 0);
    (void)t.msix.raise(1);
    (void)t.log.take();
    t.control(0);
    CHECK(t.log.take() == Events{{What::Masked, 0, 0, 0}});
    CHECK(t.pba() == 0);
    CHECK(t.msix.raise(0) == Msix::Raise::Ignored);
    t.control(kEnable);
    CHECK(t.log.take() == Events{{What::Unmasked, 0, 0xfee0'0000, 0x30}});
}

TEST_CASE("a device's reset takes back its pending events", "[msix]") {
    Table t;
    t.control(kEnable);
    (void)t.msix.raise(0);
    t.msix.clear_pending();
    CHECK(t.pba() == 0);
    t.entry(0, 0xfee0'0000, 0x30, 0);
    CHECK(t.log.take() == Events{{What::Unmasked, 0, 0xfee0'0000, 0x30}});
}

TEST_CASE("the table takes aligned words of 4 and 8 bytes and nothing else", "[msix]") {
    Table t;
    for (const u8 size : {u8{1}, u8{2}, u8{3}}) t.msix.table_write({0, size}, 0xffff'ffff);
    for (u64 at = 1; at < 4; ++at) t.msix.table_write({at, 4}, 0xffff'ffff);
    t.msix.table_write({4, 8}, ~u64{0});
    t.msix.table_write({64, 4}, ~u64{0});
    t.msix.table_write({~u64{0} - 3, 4}, ~u64{0});
    t.msix.table_write({~u64{0} - 7, 8}, ~u64{0});
    for (u64 at = 0; at < 64; at += 4) CHECK(t.table(at) == (at % 16 == 12 ? 1 : 0));
    t.msix.table_write({16, 8}, 0x1234'5678'fee0'1004);
    t.msix.table_write({24, 8}, 0x0000'0000'0000'0055);
    CHECK(t.table(16) == 0xfee0'1004);
    CHECK(t.table(20) == 0x1234'5678);
    CHECK(t.table(24) == 0x55);
    CHECK(t.table(28) == 0);
}

TEST_CASE("an invalid table entry is a message like any other, without its reserved bits", "[msix]") {
    Table t;
    t.control(0xffff & ~kFunctionMask);
    for (u64 at = 0; at < 64; at += 8) t.msix.table_write({at, 8}, ~u64{0});
    for (u16 vector = 0; vector < 4; ++vector) {
        CHECK(t.table(vector * 16u) == 0xffff'fffc);
        CHECK(t.table(vector * 16u + 12) == 1);
    }
    CHECK(t.log.take().empty());
    t.write(12, 0xffff'fffe);
    CHECK(t.log.take() == Events{{What::Unmasked, 0, 0xffff'ffff'ffff'fffc, 0xffff'ffff}});
    CHECK(t.table(12) == 0);
}

TEST_CASE("pending bits and table read at every size and beyond the end", "[msix]") {
    Table t(70);
    t.control(kEnable);
    for (const u16 vector : {u16{1}, u16{63}, u16{64}, u16{69}})
        CHECK(t.msix.raise(vector) == Msix::Raise::Pended);
    CHECK(t.msix.pba_read({0, 8}) == 0x8000'0000'0000'0002);
    CHECK(t.msix.pba_read({8, 8}) == 0x21);
    CHECK(t.msix.pba_read({0, 1}) == 2);
    CHECK(t.msix.pba_read({7, 1}) == 0x80);
    CHECK(t.msix.pba_read({4, 4}) == 0x8000'0000);
    CHECK(t.msix.pba_read({7, 2}) == 0x2180);
    CHECK(t.msix.pba_read({16, 4}) == 0xffff'ffff);
    CHECK(t.msix.pba_read({~u64{0}, 8}) == ~u64{0});
    CHECK(t.msix.table_read({12, 1}) == 1);
    CHECK(t.msix.table_read({70 * 16, 8}) == ~u64{0});
    CHECK(t.msix.table_read({~u64{0}, 8}) == ~u64{0});
}

TEST_CASE("a table that moves keeps its entries and their masks", "[msix]") {
    Table t;
    t.control(kEnable);
    t.entry(1, 0xfee0'5000, 0x51, 0);
    (void)t.log.take();
    std::vector<u64> elsewhere(8, 0);
    t.msix.move_table(std::as_writable_bytes(std::span(elsewhere)));
    std::fill(t.memory.begin(), t.memory.end(), ~u64{0});
    CHECK(t.log.take().empty());
    CHECK(t.msix.raise(1) == Msix::Raise::Send);
    CHECK(t.msix.message(1).data == 0x51);
    t.entry(2, 0xfee0'6000, 0x61, 0);
    CHECK(elsewhere[4] == 0xfee0'6000);
    CHECK(t.memory[4] == ~u64{0});
}

TEST_CASE("reset in the middle of traffic masks every vector and leaves no event pending", "[msix]") {
    Table t;
    t.control(kEnable);
    t.entry(0, 0xfee0'0000, 0x30, 0);
    (void)t.msix.raise(1);
    (void)t.log.take();
    t.function.reset();
    t.msix.reset();
    CHECK(t.log.take() == Events{{What::Masked, 0, 0, 0}});
    CHECK(t.pba() == 0);
    CHECK(t.table(0) == 0);
    CHECK(t.table(12) == 1);
    CHECK(t.msix.raise(0) == Msix::Raise::Ignored);
}

TEST_CASE("a write beside Message Control changes nothing in MSI-X", "[msix]") {
    Table t;
    (void)t.function.config_write(0x42, 2, kEnable);
    t.msix.on_config_write(0x04, 2);
    t.msix.on_config_write(0x40, 2);
    t.msix.on_config_write(0x44, 4);
    CHECK_FALSE(t.msix.is_enabled());
    t.msix.on_config_write(0x40, 4);
    CHECK(t.msix.is_enabled());
}
