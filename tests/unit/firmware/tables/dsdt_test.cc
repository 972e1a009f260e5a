// SPDX-License-Identifier: Apache-2.0
#include "firmware/tables/dsdt.h"

#include <array>

#include <catch2/catch.hpp>

#include "tests/unit/firmware/tables/bytes.h"
#include "tests/unit/firmware/tables/machines.h"

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

/// `routes` is the _PRT or nothing.
Bytes host_bridge(const Bytes& windows, const Bytes& routes = {}) {
    return device("PCI0", name("_HID", pnp(0x0a, 0x08))
                              .add(name("_CID", pnp(0x0a, 0x03)))
                              .add(name("_UID", {0}))
                              .add(name("_SEG", {0}))
                              .add(name("_BBN", {0}))
                              .add(name("_CRS", resources(windows)))
                              .add(routes));
}

/// ACPI 6.5 §6.2.13 "_PRT (PCI Routing Table)": address with any function, pin (0 is INTA#), no source, GSI.
/// Devices 1 to 31, the odd ones on GSI 11 and the even ones on GSI 10.
Bytes routes_to_10_and_11() {
    Bytes packages = Bytes{31};
    for (u32 device = 1; device <= 31; ++device)
        packages.add(
            Bytes{0x12, 11, 4, 0x0c}.w(0xffff).w(device).b(0).b(0).b(0x0a).b(device % 2 == 1 ? 11 : 10));
    return name("_PRT", Bytes{0x12}.add(with_length(packages)));
}

Bytes uart_on_irq_4() {
    return device("COM1", name("_HID", pnp(0x05, 0x01))
                              .add(name("_UID", {1}))
                              .add(name("_CRS", resources(ports(0x3f8, 8).b(0x22).w(1 << 4)))));
}

/// ACPI 6.5 §6.4.3.6 "Extended Interrupt Descriptor": consumer, edge, active high, exclusive; one interrupt.
Bytes uart_on_gsi_4() {
    Bytes descriptors = ports(0x3f8, 8);
    descriptors.b(0x89).w(6).b(0b0011).b(1).d(4);
    return device(
        "COM1",
        name("_HID", pnp(0x05, 0x01)).add(name("_UID", {1})).add(name("_CRS", resources(descriptors))));
}

Bytes polled_uart() {
    return device(
        "COM1",
        name("_HID", pnp(0x05, 0x01)).add(name("_UID", {1})).add(name("_CRS", resources(ports(0x3f8, 8)))));
}

Bytes cmos_clock() {
    return device("RTC_", name("_HID", pnp(0x0b, 0x00)).add(name("_CRS", resources(ports(0x70, 2)))));
}

/// ACPI 6.5 §6.4.3.4 "32-Bit Fixed Memory Range Descriptor", writable, and §6.4.3.6 "Extended Interrupt
/// Descriptor": flags 0 consumer, 1 edge, not 2 active low, not 3 shared; one interrupt.
Bytes virtio_mmio(std::string_view segment, const Bytes& uid, u32 base, u8 gsi) {
    Bytes descriptors = Bytes().b(0x86).w(9).b(1).d(base).d(0x1000);
    descriptors.b(0x89).w(6).b(0b0011).b(1).d(gsi);
    return device(
        segment,
        name("_HID", string("LNRO0005")).add(name("_UID", uid)).add(name("_CRS", resources(descriptors))));
}

Bytes pvpanic() {
    return device("PEVT", name("_HID", string("QEMU0001")).add(name("_CRS", resources(ports(0x505, 1)))));
}

/// Both sleep types are 5, two reserved zeros: PackageOp, length 8, four elements.
Bytes s5() { return name("_S5_", {0x12, 8, 4, 0x0a, 5, 0x0a, 5, 0, 0}); }

const Bytes kMemory32 =
    Bytes().b(0x87).w(23).b(0).b(0x0c).b(1).d(0).d(0xd000'0000).d(0xdfff'ffff).d(0).d(0x1000'0000);
const Bytes kConfigPages =
    Bytes().b(0x87).w(23).b(0).b(0x0c).b(1).d(0).d(0xe010'0000).d(0xe01f'ffff).d(0).d(0x10'0000);
const Bytes kMemory64 =
    Bytes().b(0x8a).w(43).b(0).b(0x0c).b(1).q(0).q(0x40'0000'0000).q(0x7f'ffff'ffff).q(0).q(0x40'0000'0000);

Bytes modern_windows() {
    Bytes windows = word_range(2, 0, 0, 0);
    windows.add(word_range(1, 3, 0, 0xcf7)).add(word_range(1, 3, 0xd00, 0xffff)).add(kMemory32);
    return windows.add(kMemory64);
}

Bytes legacy_windows() {
    Bytes windows = word_range(2, 0, 0, 0).add(ports(0xcf8, 8));
    return windows.add(word_range(1, 3, 0, 0xcf7)).add(word_range(1, 3, 0xd00, 0xffff)).add(kMemory32);
}

/// The devices of test::virtio_mmio_slots: VI00 at 3 GiB + 4 KiB to VI15.
Bytes virtio_mmio_devices() {
    constexpr std::array<u8, 16> kGsis{5, 6, 7, 10, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};
    Bytes bytes;
    for (u32 i = 0; i < 16; ++i) {
        const std::array<char, 4> segment{'V', 'I', i < 10 ? '0' : '1', "0123456789012345"[i]};
        const Bytes uid = i < 2 ? Bytes().b(i) : Bytes().b(0x0a).b(i);
        bytes.add(virtio_mmio({segment.data(), 4}, uid, 0xc000'1000 + i * 0x1000, kGsis.at(i)));
    }
    return bytes;
}

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
    const Bytes windows = modern_windows();
    const Bytes body =
        processors(cpu_count).add(motherboard()).add(host_bridge(windows)).add(polled_uart()).add(pvpanic());
    CHECK(written(test::modern_machine(cpu_count)) == scope("_SB_", body).add(s5()).get());
}

TEST_CASE("a UART's interrupt is a GSI where no 8259 has lines", "[dsdt]") {
    const Bytes body = processors(1)
                           .add(motherboard())
                           .add(host_bridge(modern_windows()))
                           .add(uart_on_gsi_4())
                           .add(pvpanic());
    CHECK(written(test::machine_with_serial_ioapic(1)) == scope("_SB_", body).add(s5()).get());
}

TEST_CASE("the legacy DSDT has configuration ports, a UART on IRQ 4 and the CMOS clock", "[dsdt]") {
    const u32 cpu_count = GENERATE(1u, 4u, 64u);
    const Bytes body = processors(cpu_count)
                           .add(motherboard())
                           .add(host_bridge(legacy_windows()))
                           .add(uart_on_irq_4())
                           .add(cmos_clock())
                           .add(pvpanic());
    CHECK(written(test::legacy_machine(cpu_count)) == scope("_SB_", body).add(s5()).get());
}

TEST_CASE("a host bridge without ECAM is plain PCI and reserves no memory", "[dsdt]") {
    AcpiOptions options = test::bare_machine(1);
    options.pci = PciHost{.ecam = std::nullopt,
                          .has_config_ports = true,
                          .memory32 = {.base = Gpa{0xd000'0000}, .size_bytes = 0x1000'0000},
                          .memory64 = std::nullopt};
    const Bytes bridge = device("PCI0", name("_HID", pnp(0x0a, 0x03))
                                            .add(name("_UID", {0}))
                                            .add(name("_SEG", {0}))
                                            .add(name("_BBN", {0}))
                                            .add(name("_CRS", resources(legacy_windows()))));
    CHECK(written(options) == scope("_SB_", processors(1).add(bridge)).add(s5()).get());
}

TEST_CASE("configuration pages are a second memory window, between the low and the high one", "[dsdt]") {
    AcpiOptions options = test::modern_machine(1);
    options.pci->config_pages = PciWindow{.base = Gpa{0xe010'0000}, .size_bytes = 0x10'0000};
    Bytes windows = word_range(2, 0, 0, 0);
    windows.add(word_range(1, 3, 0, 0xcf7)).add(word_range(1, 3, 0xd00, 0xffff)).add(kMemory32);
    windows.add(kConfigPages).add(kMemory64);
    const Bytes body =
        processors(1).add(motherboard()).add(host_bridge(windows)).add(polled_uart()).add(pvpanic());
    CHECK(written(options) == scope("_SB_", body).add(s5()).get());
}

TEST_CASE("INTA# of 31 PCI devices reaches two pins in turn, without link devices", "[dsdt]") {
    const Bytes bridge = host_bridge(legacy_windows().add(kConfigPages), routes_to_10_and_11());
    const Bytes body =
        processors(1).add(motherboard()).add(bridge).add(uart_on_irq_4()).add(cmos_clock()).add(pvpanic());
    CHECK(written(test::legacy_machine_with_intx(1)) == scope("_SB_", body).add(s5()).get());
}

TEST_CASE("each virtio-mmio device has its page and an edge-triggered interrupt of its own", "[dsdt]") {
    const Bytes body = processors(1)
                           .add(motherboard())
                           .add(host_bridge(modern_windows()))
                           .add(polled_uart())
                           .add(pvpanic())
                           .add(virtio_mmio_devices());
    CHECK(written(test::machine_with_virtio_mmio(1)) == scope("_SB_", body).add(s5()).get());
}

TEST_CASE("64 processors, INTx routes, configuration pages and 16 virtio-mmio devices go together",
          "[dsdt]") {
    const Bytes bridge =
        host_bridge(legacy_windows().add(kConfigPages).add(kMemory64), routes_to_10_and_11());
    const Bytes body = processors(64)
                           .add(motherboard())
                           .add(bridge)
                           .add(uart_on_irq_4())
                           .add(cmos_clock())
                           .add(pvpanic())
                           .add(virtio_mmio_devices());
    CHECK(written(test::full_machine(64)) == scope("_SB_", body).add(s5()).get());
}
