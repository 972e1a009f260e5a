// SPDX-License-Identifier: Apache-2.0
#include "firmware/tables/dsdt.h"

#include <array>

#include <catch2/catch.hpp>

#include "tests/unit/tables/bytes.h"
#include "tests/unit/tables/machines.h"

using namespace mayfly;
using test::Bytes;

namespace {

std::vector<u8> written(const AcpiOptions& options) {
    std::vector<u8> buffer(0x1'0000);
    ByteWriter out(buffer);
    write_dsdt_body(out, options);
    REQUIRE(out.fits());
    return {out.written().begin(), out.written().end()};
}

/// ACPI 6.5 §20.2.4 "Package Length Encoding": the length counts itself; up to 63 in one byte, up to 4095 in
/// two, up to 2^20-1 in three.
Bytes with_length(const Bytes& content) {
    const std::size_t n = content.size();
    Bytes bytes;
    if (n + 1 < 0x40)
        bytes.b(n + 1);
    else if (n + 2 < 0x1000)
        bytes.b(0x40 | ((n + 2) & 0xf)).b((n + 2) >> 4);
    else
        bytes.b(0x80 | ((n + 3) & 0xf)).w((n + 3) >> 4);
    return bytes.add(content);
}

Bytes scope(std::string_view name, const Bytes& body) {
    return Bytes{0x10}.add(with_length(Bytes().s(name).add(body)));
}
Bytes device(std::string_view name, const Bytes& body) {
    return Bytes{0x5b, 0x82}.add(with_length(Bytes().s(name).add(body)));
}
Bytes name(std::string_view segment, const Bytes& value) { return Bytes{0x08}.s(segment).add(value); }
Bytes string(std::string_view text) { return Bytes{0x0d}.s(text).b(0); }
/// "PNP" is 41 d0; the four digits follow in big-endian order.
Bytes pnp(u8 high, u8 low) { return Bytes{0x0c, 0x41, 0xd0, high, low}; }
/// Fewer than 256 bytes of descriptors with the end tag.
Bytes resources(Bytes descriptors) {
    descriptors.b(0x79).b(0);
    return Bytes{0x11}.add(with_length(Bytes{0x0a}.b(descriptors.size()).add(descriptors)));
}
Bytes ports(u16 first, u8 count) { return Bytes().b(0x47).b(1).w(first).w(first).b(1).b(count); }
Bytes word_range(u8 type, u8 flags, u16 first, u16 last) {
    return Bytes().b(0x88).w(13).b(type).b(0x0c).b(flags).w(0).w(first).w(last).w(0).w(last - first + 1);
}

Bytes processors(u32 count) {
    Bytes bytes;
    for (u32 id = 0; id < count; ++id) {
        const std::string_view digits = "0123456789ABCDEF";
        const std::array<char, 4> segment{'C', '0', digits[id / 16], digits[id % 16]};
        const Bytes uid = id < 2 ? Bytes().b(id) : Bytes().b(0x0a).b(id);
        bytes.add(device({segment.data(), 4}, name("_HID", string("ACPI0007")).add(name("_UID", uid))));
    }
    return bytes;
}

Bytes motherboard() {
    const Bytes ecam = Bytes().b(0x86).w(9).b(1).d(0xe000'0000).d(0x10'0000);
    return device("MBRD", name("_HID", pnp(0x0c, 0x02)).add(name("_CRS", resources(ecam))));
}

Bytes host_bridge(const Bytes& windows) {
    return device("PCI0", name("_HID", pnp(0x0a, 0x08))
                              .add(name("_CID", pnp(0x0a, 0x03)))
                              .add(name("_UID", {0}))
                              .add(name("_SEG", {0}))
                              .add(name("_BBN", {0}))
                              .add(name("_CRS", resources(windows))));
}

Bytes pvpanic() {
    return device("PEVT", name("_HID", string("QEMU0001")).add(name("_CRS", resources(ports(0x505, 1)))));
}

/// Both sleep types are 5, two reserved zeros: PackageOp, length 8, four elements.
Bytes s5() { return name("_S5_", {0x12, 8, 4, 0x0a, 5, 0x0a, 5, 0, 0}); }

const Bytes kMemory32 =
    Bytes().b(0x87).w(23).b(0).b(0x0c).b(1).d(0).d(0xd000'0000).d(0xdfff'ffff).d(0).d(0x1000'0000);

}  // namespace

TEST_CASE("the smallest DSDT is one processor and the power-off package", "[dsdt]") {
    // Device: 1 length + 4 name + 15 for _HID + 6 for _UID = 26. Scope: 1 + 4 + 2 opcode bytes + 26 = 33.
    const Bytes expected = Bytes{0x10, 33}
                               .s("_SB_")
                               .b(0x5b)
                               .b(0x82)
                               .b(26)
                               .s("C000")
                               .b(0x08)
                               .s("_HID")
                               .b(0x0d)
                               .s("ACPI0007")
                               .b(0)
                               .b(0x08)
                               .s("_UID")
                               .b(0)
                               .b(0x08)
                               .s("_S5_")
                               .b(0x12)
                               .b(8)
                               .b(4)
                               .b(0x0a)
                               .b(5)
                               .b(0x0a)
                               .b(5)
                               .b(0)
                               .b(0);
    CHECK(written(test::bare_machine(1)) == expected.get());
}

TEST_CASE("the modern DSDT has ECAM reserved, one bus, both windows and a polled UART", "[dsdt]") {
    const u32 cpu_count = GENERATE(1u, 4u, 64u);
    Bytes windows;
    windows.add(word_range(2, 0, 0, 0)).add(word_range(1, 3, 0, 0xcf7)).add(word_range(1, 3, 0xd00, 0xffff));
    windows.add(kMemory32);
    windows.b(0x8a).w(43).b(0).b(0x0c).b(1).q(0).q(0x40'0000'0000).q(0x7f'ffff'ffff).q(0).q(0x40'0000'0000);
    const Bytes uart = device(
        "COM1",
        name("_HID", pnp(0x05, 0x01)).add(name("_UID", {1})).add(name("_CRS", resources(ports(0x3f8, 8)))));
    const Bytes body =
        processors(cpu_count).add(motherboard()).add(host_bridge(windows)).add(uart).add(pvpanic());
    CHECK(written(test::modern_machine(cpu_count)) == scope("_SB_", body).add(s5()).get());
}

TEST_CASE("the legacy DSDT has configuration ports, a UART on IRQ 4 and the CMOS clock", "[dsdt]") {
    const u32 cpu_count = GENERATE(1u, 4u, 64u);
    Bytes windows;
    windows.add(word_range(2, 0, 0, 0)).add(ports(0xcf8, 8));
    windows.add(word_range(1, 3, 0, 0xcf7)).add(word_range(1, 3, 0xd00, 0xffff)).add(kMemory32);
    const Bytes uart = device("COM1", name("_HID", pnp(0x05, 0x01))
                                          .add(name("_UID", {1}))
                                          .add(name("_CRS", resources(ports(0x3f8, 8).b(0x22).w(1 << 4)))));
    const Bytes clock =
        device("RTC_", name("_HID", pnp(0x0b, 0x00)).add(name("_CRS", resources(ports(0x70, 2)))));
    const Bytes body = processors(cpu_count)
                           .add(motherboard())
                           .add(host_bridge(windows))
                           .add(uart)
                           .add(clock)
                           .add(pvpanic());
    CHECK(written(test::legacy_machine(cpu_count)) == scope("_SB_", body).add(s5()).get());
}

TEST_CASE("a host bridge without ECAM is plain PCI and reserves no memory", "[dsdt]") {
    AcpiOptions options = test::bare_machine(1);
    options.pci = PciHost{.ecam = std::nullopt,
                          .has_config_ports = true,
                          .memory32 = {.base = Gpa{0xd000'0000}, .size_bytes = 0x1000'0000},
                          .memory64 = std::nullopt};
    Bytes windows;
    windows.add(word_range(2, 0, 0, 0)).add(ports(0xcf8, 8));
    windows.add(word_range(1, 3, 0, 0xcf7)).add(word_range(1, 3, 0xd00, 0xffff)).add(kMemory32);
    const Bytes bridge = device("PCI0", name("_HID", pnp(0x0a, 0x03))
                                            .add(name("_UID", {0}))
                                            .add(name("_SEG", {0}))
                                            .add(name("_BBN", {0}))
                                            .add(name("_CRS", resources(windows))));
    CHECK(written(options) == scope("_SB_", processors(1).add(bridge)).add(s5()).get());
}
