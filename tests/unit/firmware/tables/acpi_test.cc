// SPDX-License-Identifier: Apache-2.0
#include "firmware/tables/acpi.h"

#include <algorithm>
#include <utility>

#include <catch2/catch.hpp>

#include "tests/unit/firmware/tables/bytes.h"
#include "tests/unit/firmware/tables/machines.h"

using namespace mayfly;
using test::Bytes;

namespace {

constexpr u64 kAreaBase = 0xe'0000;
constexpr u64 kAreaBytes = 0x1'0000;

/// Tables of one machine in guest RAM.
struct Written {
    explicit Written(const AcpiOptions& options)
        : ram(test::small_ram()), rsdp(write_acpi(ram.memory(), options).value()) {}

    [[nodiscard]] std::vector<test::FoundTable> tables() const {
        return test::find_tables(ram.memory(), rsdp);
    }
    [[nodiscard]] std::vector<u8> table(const std::string& signature) const {
        return test::find_table(ram.memory(), rsdp, signature);
    }
    [[nodiscard]] u64 base_of(const std::string& signature) const {
        for (const test::FoundTable& found : tables())
            if (found.signature == signature) return found.base;
        return 0;
    }

    GuestRam ram;
    Gpa rsdp;
};

/// ACPI 6.5 §5.2.6 "System Description Table Header": signature, length, revision, checksum, OEM id, table
/// id and revision, creator and revision.
Bytes with_header(std::string_view signature, u8 revision, const Bytes& body) {
    Bytes table;
    table.s(signature).d(36 + body.size()).b(revision).b(0).s("MAYFLY").s("MAYFLYVM").d(1).s("MFLY").d(1);
    table.add(body);
    return table.at(9, Bytes().b(0x100u - test::sum_of(table.get())));
}

/// ACPI 6.5 §5.2.3.2 "Generic Address Structure": a register of `bits` at I/O port `port`; access 1 is byte,
/// 2 is word.
Bytes io_register(u16 port, u8 bits, u8 access) { return Bytes().b(1).b(bits).b(0).b(access).q(port); }

/// The common part of both shapes, at the offsets of ACPI 6.5 §5.2.9 "Fixed ACPI Description Table (FADT)",
/// less the 36 bytes of header.
Bytes fadt_body(u64 dsdt) {
    Bytes body;
    body.zeros(276 - 36);
    const auto field = [&](std::size_t offset, const Bytes& value) { body.at(offset - 36, value); };
    field(40, Bytes().d(dsdt));
    field(96, Bytes().w(101).w(1001));          // no C2, no C3
    field(116, io_register(0xcf9, 8, 1).b(6));  // RESET_REG, RESET_VALUE
    field(131, Bytes().b(5));                   // minor version
    field(140, Bytes().q(dsdt));
    field(268, Bytes().s("MAYFLY"));
    return body;
}

Bytes local_apics(u32 cpu_count) {
    Bytes bytes;
    for (u32 id = 0; id < cpu_count; ++id) bytes.b(0).b(8).b(id).b(id).d(1);
    return bytes;
}

}  // namespace

TEST_CASE("the RSDP comes first, with both checksums, and leads to the XSDT", "[acpi]") {
    const Written acpi(test::modern_machine(1));
    CHECK(acpi.rsdp == Gpa{kAreaBase});
    const std::vector<u8> rsdp = test::read_bytes(acpi.ram.memory(), kAreaBase, 36);
    Bytes expected;
    expected.s("RSD PTR ").b(0).s("MAYFLY").b(2).d(0).d(36).q(acpi.base_of("XSDT")).b(0).zeros(3);
    expected.at(8, Bytes().b(0x100u - test::sum_of({expected.get().begin(), expected.get().begin() + 20})));
    expected.at(32, Bytes().b(0x100u - test::sum_of(expected.get())));
    CHECK(rsdp == expected.get());
    CHECK(test::sum_of({rsdp.begin(), rsdp.begin() + 20}) == 0);
    CHECK(test::sum_of(rsdp) == 0);
}

TEST_CASE("the XSDT lists FADT, MADT and MCFG by their addresses", "[acpi]") {
    const Written acpi(test::modern_machine(1));
    const Bytes body = Bytes().q(acpi.base_of("FACP")).q(acpi.base_of("APIC")).q(acpi.base_of("MCFG"));
    CHECK(acpi.table("XSDT") == with_header("XSDT", 1, body).get());
}

TEST_CASE("the PC shape has an RSDT with the same tables for kernels older than ACPI 2.0", "[acpi]") {
    const Written acpi(test::legacy_machine(1));
    const std::vector<u8> rsdp = test::read_bytes(acpi.ram.memory(), kAreaBase, 36);
    CHECK(test::le32(rsdp, 16) == acpi.base_of("RSDT"));
    const Bytes body = Bytes().d(acpi.base_of("FACP")).d(acpi.base_of("APIC")).d(acpi.base_of("MCFG"));
    CHECK(acpi.table("RSDT") == with_header("RSDT", 1, body).get());
}

TEST_CASE("a machine without ECAM has no MCFG", "[acpi]") {
    const Written acpi(test::bare_machine(1));
    CHECK(acpi.table("MCFG").empty());
    CHECK(acpi.table("XSDT") ==
          with_header("XSDT", 1, Bytes().q(acpi.base_of("FACP")).q(acpi.base_of("APIC"))).get());
}

TEST_CASE("the hardware-reduced FADT names sleep and reset registers and no PM block", "[acpi]") {
    const Written acpi(test::modern_machine(1));
    Bytes body = fadt_body(acpi.base_of("DSDT"));
    body.at(109 - 36, Bytes().w(1 << 2 | 1 << 4 | 1 << 5));  // no VGA, no ASPM, no CMOS clock
    // WBINVD, C1, no fixed power button, sleep button or RTC wake, reset register, headless, HW-reduced
    body.at(112 - 36, Bytes().d(1 << 0 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 10 | 1 << 12 | 1 << 20));
    body.at(244 - 36, io_register(0x610, 8, 1));
    body.at(256 - 36, io_register(0x611, 8, 1));
    CHECK(acpi.table("FACP") == with_header("FACP", 6, body).get());
    CHECK(acpi.table("FACS").empty());
}

TEST_CASE("the PC shape's FADT names PM1a blocks, SCI 9 and an aligned FACS", "[acpi]") {
    const Written acpi(test::legacy_machine(1));
    const u64 facs = acpi.base_of("FACS");
    Bytes body = fadt_body(acpi.base_of("DSDT"));
    body.at(36 - 36, Bytes().d(facs));
    body.at(46 - 36, Bytes().w(9));                          // SCI; no SMI command: always in ACPI mode
    body.at(56 - 36, Bytes().d(0x600));                      // PM1a event
    body.at(64 - 36, Bytes().d(0x604));                      // PM1a control
    body.at(88 - 36, Bytes().b(4).b(2));                     // their lengths; PM timer 0
    body.at(108 - 36, Bytes().b(0x32));                      // century register
    body.at(109 - 36, Bytes().w(1 << 0 | 1 << 2 | 1 << 4));  // legacy devices, no VGA, no ASPM
    body.at(112 - 36, Bytes().d(1 << 0 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 10 | 1 << 12));
    body.at(148 - 36, io_register(0x600, 32, 2));
    body.at(172 - 36, io_register(0x604, 16, 2));
    CHECK(acpi.table("FACP") == with_header("FACP", 6, body).get());
    CHECK(facs % 64 == 0);
    CHECK(acpi.table("FACS") == Bytes().s("FACS").d(64).zeros(24).b(2).zeros(31).get());
}

TEST_CASE("the modern MADT has one local APIC per processor and NMI at LINT1", "[acpi]") {
    const u32 cpu_count = GENERATE(1u, 4u, 64u, 255u);
    const Written acpi(test::modern_machine(cpu_count));
    Bytes body;
    body.d(0xfee0'0000).d(0).add(local_apics(cpu_count));
    body.b(4).b(6).b(0xff).w(0).b(1);
    CHECK(acpi.table("APIC") == with_header("APIC", 6, body).get());
}

TEST_CASE("processors beyond APIC id 254 are x2APIC entries with an NMI of their own", "[acpi]") {
    const Written acpi(test::modern_machine(257));
    Bytes body;
    body.d(0xfee0'0000).d(0).add(local_apics(255));
    body.b(9).b(16).w(0).d(255).d(1).d(255);
    body.b(9).b(16).w(0).d(256).d(1).d(256);
    body.b(4).b(6).b(0xff).w(0).b(1);
    body.b(10).b(12).w(0).d(0xffff'ffff).b(1).zeros(3);
    CHECK(acpi.table("APIC") == with_header("APIC", 6, body).get());
}

TEST_CASE("the PC shape's MADT adds 8259s, IOAPIC and the overrides of IRQ 0 and 9", "[acpi]") {
    const u32 cpu_count = GENERATE(1u, 4u, 64u);
    const Written acpi(test::legacy_machine(cpu_count));
    Bytes body;
    body.d(0xfee0'0000).d(1).add(local_apics(cpu_count));
    body.b(1).b(12).b(0).b(0).d(0xfec0'0000).d(0);  // IOAPIC 0 from GSI 0
    body.b(2).b(10).b(0).b(0).d(2).w(0);            // IRQ 0 is GSI 2
    body.b(2).b(10).b(0).b(9).d(9).w(0b1101);       // IRQ 9: active high, level
    body.b(4).b(6).b(0xff).w(0).b(1);
    CHECK(acpi.table("APIC") == with_header("APIC", 6, body).get());
}

TEST_CASE("the MADT of a serial port's own IOAPIC begins at its GSI, and overrides nothing", "[acpi]") {
    const u32 cpu_count = GENERATE(1u, 64u);
    const Written acpi(test::machine_with_serial_ioapic(cpu_count));
    Bytes body;
    body.d(0xfee0'0000).d(0).add(local_apics(cpu_count));  // no 8259s
    body.b(1).b(12).b(0).b(0).d(0xfec0'0000).d(4);         // IOAPIC 0 from GSI 4
    body.b(4).b(6).b(0xff).w(0).b(1);
    CHECK(acpi.table("APIC") == with_header("APIC", 6, body).get());
    CHECK(acpi.table("FACP") == Written(test::modern_machine(cpu_count)).table("FACP"));
}

TEST_CASE("the MCFG gives ECAM of segment 0 and bus 0 only", "[acpi]") {
    const Written acpi(test::modern_machine(1));
    const Bytes body = Bytes().zeros(8).q(0xe000'0000).w(0).b(0).b(0).d(0);
    CHECK(acpi.table("MCFG") == with_header("MCFG", 1, body).get());
}

TEST_CASE("every table sums to zero and lies in its own part of the ACPI area", "[acpi]") {
    const u32 cpu_count = GENERATE(1u, 4u, 64u, 1024u);
    const auto [make, table_count] =
        GENERATE(std::pair(&test::modern_machine, 5u), std::pair(&test::machine_with_serial_ioapic, 5u),
                 std::pair(&test::legacy_machine, 7u), std::pair(&test::full_machine, 7u));
    const Written acpi(make(cpu_count));
    std::vector<test::FoundTable> tables = acpi.tables();
    CHECK(tables.size() == table_count);
    std::sort(tables.begin(), tables.end(), [](const auto& a, const auto& b) { return a.base < b.base; });
    u64 end = kAreaBase + 36;
    for (const test::FoundTable& table : tables) {
        INFO(table.signature);
        CHECK(table.base >= end);
        CHECK(table.base % 8 == 0);
        if (table.signature != "FACS") CHECK(test::sum_of(table.bytes) == 0);
        end = table.base + table.bytes.size();
    }
    CHECK(end <= kAreaBase + kAreaBytes);
    // The room that the limit of 1024 processors counts on: 16 + 28 bytes each, and 4 KiB for the rest.
    CHECK(end - kAreaBase <= cpu_count * (16 + 28) + 4096);
    // The MP table's area, which follows, is untouched.
    CHECK(test::read_bytes(acpi.ram.memory(), kAreaBase + kAreaBytes, 16) == Bytes().zeros(16).get());
}

TEST_CASE("ACPI refuses more processors than its area holds", "[acpi]") {
    const GuestRam ram = test::small_ram();
    const Result<Gpa> result = write_acpi(ram.memory(), test::modern_machine(1025));
    REQUIRE_FALSE(result);
    CHECK(result.error().message() == "1025 processors are more than the 1024 that the ACPI tables hold");
    CHECK(test::read_bytes(ram.memory(), kAreaBase, 8) == Bytes().zeros(8).get());
}
