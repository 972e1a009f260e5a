// SPDX-License-Identifier: Apache-2.0
#include "firmware/tables/mptable.h"

#include <catch2/catch.hpp>

#include "tests/unit/firmware/tables/bytes.h"
#include "tests/unit/firmware/tables/machines.h"

using namespace mayfly;
using test::Bytes;

namespace {

constexpr u64 kFloatingPointer = 0xf'0000;
constexpr u64 kTable = 0xf'0010;

/// An interrupt entry: type (3 at the IOAPIC, 4 at local APICs), kind, polarity and trigger as the bus has
/// them, bus and its interrupt, APIC and its input.
Bytes wire(u8 type, u8 kind, u8 bus, u8 source, u8 apic, u8 input) {
    return Bytes().b(type).b(kind).w(0).b(bus).b(source).b(apic).b(input);
}

/// The entries after the processors: bus, IOAPIC, fifteen ISA interrupts, ExtINT, NMI.
Bytes wiring() {
    Bytes bytes;
    bytes.b(1).b(0).s("ISA   ");                  // bus 0
    bytes.b(2).b(0).b(0x11).b(1).d(0xfec0'0000);  // IOAPIC 0, version 0x11, usable
    bytes.b(3).b(0).w(0).b(0).b(0).b(0).b(2);     // the PIT's IRQ 0 is on pin 2
    bytes.b(3).b(0).w(0).b(0).b(1).b(0).b(1);     // IRQ 1, and no IRQ 2: the cascade
    for (u8 irq = 3; irq < 16; ++irq) bytes.b(3).b(0).w(0).b(0).b(irq).b(0).b(irq);
    bytes.b(4).b(3).w(0).b(0).b(0).b(0).b(0);     // ExtINT at LINT0 of local APIC 0
    bytes.b(4).b(1).w(0).b(0).b(0).b(0xff).b(1);  // NMI at LINT1 of all
    return bytes;
}

/// The same with PCI as bus 0 and ISA as bus 1: no ISA wire to a pin that PCI has, and INTA# of devices 1-31.
/// MultiProcessor Specification 1.4 §D.3 "I/O Interrupt Assignment Entries for PCI Devices": the source is
/// the pin, 0 for INTA#, in bits 1:0 and the device in bits 6:2.
Bytes wiring_with_pci(u8 even_pin, u8 odd_pin) {
    Bytes bytes;
    bytes.b(1).b(0).s("PCI   ").b(1).b(1).s("ISA   ");
    bytes.b(2).b(0).b(0x11).b(1).d(0xfec0'0000);
    bytes.add(wire(3, 0, 1, 0, 0, 2)).add(wire(3, 0, 1, 1, 0, 1));
    for (u8 irq = 3; irq < 16; ++irq)
        if (irq != even_pin && irq != odd_pin) bytes.add(wire(3, 0, 1, irq, 0, irq));
    for (u32 device = 1; device <= 31; ++device)
        bytes.add(wire(3, 0, 0, static_cast<u8>(device << 2), 0, device % 2 == 0 ? even_pin : odd_pin));
    return bytes.add(wire(4, 3, 1, 0, 0, 0)).add(wire(4, 1, 1, 0, 0xff, 1));
}

/// `wiring_count` is how many entries `wiring` has.
Bytes expected_table(u32 cpu_count, const Bytes& wiring, u32 wiring_count) {
    Bytes bytes;
    bytes.s("PCMP").w(44 + 20 * cpu_count + 8 * wiring_count).b(4).b(0);
    bytes.s("MAYFLY  ").s("MICROVM     ").d(0).w(0);
    bytes.w(cpu_count + wiring_count).d(0xfee0'0000).w(0).b(0).b(0);
    // Enabled; the first is the bootstrap processor.
    for (u32 id = 0; id < cpu_count; ++id)
        bytes.b(0).b(id).b(0x14).b(id == 0 ? 3 : 1).d(0x6f1).d(0x1783'fbff).q(0);
    bytes.add(wiring);
    bytes.at(7, Bytes().b(0x100u - test::sum_of(bytes.get())));
    return bytes;
}

void check_table(const GuestMemory& memory, const Bytes& expected) {
    const std::vector<u8> written = test::read_bytes(memory, kTable, expected.size());
    CHECK(written == expected.get());
    CHECK(test::sum_of(written) == 0);
    // All of the table lies below 1 MiB, with nothing behind it.
    CHECK(kTable + expected.size() <= 0x10'0000);
    CHECK(test::read_bytes(memory, kTable + expected.size(), 64) == Bytes().zeros(64).get());
}

}  // namespace

TEST_CASE("the MP floating pointer is where kernels scan and points behind itself", "[mptable]") {
    const GuestRam ram = test::small_ram();
    REQUIRE(
        write_mptable(ram.memory(), {.cpu_count = 1, .cpu_signature = 0, .cpu_features = 0, .pci_intx = {}}));
    // "_MP_" sums to 0x5f+0x4d+0x50+0x5f = 0x15b; 0x10, 0x0f, 1 and 4 make 0x17f; the checksum adds 0x81.
    CHECK(test::read_bytes(ram.memory(), kFloatingPointer, 16) ==
          Bytes().s("_MP_").d(0x000f'0010).b(1).b(4).b(0x81).zeros(5).get());
}

TEST_CASE("the MP table lists processors and ISA wiring byte for byte", "[mptable]") {
    const u32 cpu_count = GENERATE(1u, 4u, 64u, 255u);
    const GuestRam ram = test::small_ram();
    // Only the signature's low twelve bits belong in the table.
    const MpTableOptions options{.cpu_count = cpu_count,
                                 .cpu_signature = 0x0ab0'06f1,
                                 .cpu_features = 0x1783'fbff,
                                 .pci_intx = std::nullopt};
    REQUIRE(write_mptable(ram.memory(), options));
    // Bus, IOAPIC, 15 ISA wires, 2 local ones.
    check_table(ram.memory(), expected_table(cpu_count, wiring(), 19));
}

TEST_CASE("a PCI bus comes before ISA in the MP table and takes two pins from it", "[mptable]") {
    const u32 cpu_count = GENERATE(1u, 4u, 64u, 255u);
    const GuestRam ram = test::small_ram();
    const MpTableOptions options{.cpu_count = cpu_count,
                                 .cpu_signature = 0x0ab0'06f1,
                                 .cpu_features = 0x1783'fbff,
                                 .pci_intx = {{10, 11}}};
    REQUIRE(write_mptable(ram.memory(), options));
    // Two buses, IOAPIC, 15 - 2 ISA wires, 31 PCI wires, 2 local ones.
    check_table(ram.memory(), expected_table(cpu_count, wiring_with_pci(10, 11), 2 + 1 + 13 + 31 + 2));
}

TEST_CASE("PCI pins beyond the ISA interrupts leave every ISA wire in the MP table", "[mptable]") {
    const GuestRam ram = test::small_ram();
    const MpTableOptions options{
        .cpu_count = 255, .cpu_signature = 0x0ab0'06f1, .cpu_features = 0x1783'fbff, .pci_intx = {{16, 17}}};
    REQUIRE(write_mptable(ram.memory(), options));
    check_table(ram.memory(), expected_table(255, wiring_with_pci(16, 17), 2 + 1 + 15 + 31 + 2));
}

TEST_CASE("an MP table refuses more processors than there are eight-bit APIC ids", "[mptable]") {
    const GuestRam ram = test::small_ram();
    const Result<void> result = write_mptable(
        ram.memory(), {.cpu_count = 256, .cpu_signature = 0, .cpu_features = 0, .pci_intx = {}});
    REQUIRE_FALSE(result);
    CHECK(result.error().message() == "256 processors are more than the 255 that an MP table holds");
}
