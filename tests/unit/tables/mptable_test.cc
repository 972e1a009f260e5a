// SPDX-License-Identifier: Apache-2.0
#include "firmware/tables/mptable.h"

#include <catch2/catch.hpp>

#include "tests/unit/tables/bytes.h"
#include "tests/unit/tables/machines.h"

using namespace mayfly;
using test::Bytes;

namespace {

constexpr u64 kFloatingPointer = 0xf'0000;
constexpr u64 kTable = 0xf'0010;

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

Bytes expected_table(u32 cpu_count) {
    Bytes bytes;
    bytes.s("PCMP").w(44 + 20 * cpu_count + 8 + 8 + 15 * 8 + 16).b(4).b(0);
    bytes.s("MAYFLY  ").s("MICROVM     ").d(0).w(0);
    bytes.w(cpu_count + 19).d(0xfee0'0000).w(0).b(0).b(0);
    // Enabled; the first is the bootstrap processor.
    for (u32 id = 0; id < cpu_count; ++id)
        bytes.b(0).b(id).b(0x14).b(id == 0 ? 3 : 1).d(0x6f1).d(0x1783'fbff).q(0);
    bytes.add(wiring());
    bytes.at(7, Bytes().b(0x100u - test::sum_of(bytes.get())));
    return bytes;
}

}  // namespace

TEST_CASE("the MP floating pointer is where kernels scan and points behind itself", "[mptable]") {
    const GuestRam ram = test::small_ram();
    REQUIRE(write_mptable(ram.memory(), {.cpu_count = 1, .cpu_signature = 0, .cpu_features = 0}));
    // "_MP_" sums to 0x5f+0x4d+0x50+0x5f = 0x15b; 0x10, 0x0f, 1 and 4 make 0x17f; the checksum adds 0x81.
    CHECK(test::read_bytes(ram.memory(), kFloatingPointer, 16) ==
          Bytes().s("_MP_").d(0x000f'0010).b(1).b(4).b(0x81).zeros(5).get());
}

TEST_CASE("the MP table lists processors and ISA wiring byte for byte", "[mptable]") {
    const u32 cpu_count = GENERATE(1u, 4u, 64u, 255u);
    const GuestRam ram = test::small_ram();
    // Only the signature's low twelve bits belong in the table.
    const MpTableOptions options{
        .cpu_count = cpu_count, .cpu_signature = 0x0ab0'06f1, .cpu_features = 0x1783'fbff};
    REQUIRE(write_mptable(ram.memory(), options));
    const Bytes expected = expected_table(cpu_count);
    const std::vector<u8> written = test::read_bytes(ram.memory(), kTable, expected.size());
    CHECK(written == expected.get());
    CHECK(test::sum_of(written) == 0);
    // Nothing behind it, and all of it below 1 MiB.
    CHECK(kTable + expected.size() <= 0x10'0000);
    CHECK(test::read_bytes(ram.memory(), kTable + expected.size(), 64) == Bytes().zeros(64).get());
}

TEST_CASE("an MP table refuses more processors than there are eight-bit APIC ids", "[mptable]") {
    const GuestRam ram = test::small_ram();
    const Result<void> result =
        write_mptable(ram.memory(), {.cpu_count = 256, .cpu_signature = 0, .cpu_features = 0});
    REQUIRE_FALSE(result);
    CHECK(result.error().message() == "256 processors are more than the 255 that an MP table holds");
}
