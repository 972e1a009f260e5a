// SPDX-License-Identifier: Apache-2.0
// The machines whose ACPI tables are tested, and guest RAM to write them into.
//
// Not the profiles themselves, which vmm/machine decides: shapes that between them turn every option on and
// off.
#pragma once

#include <array>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "firmware/tables/acpi.h"
#include "vmm/memory/guest_ram.h"

namespace mayfly::test {

inline GuestRam small_ram() {
    return GuestRam::create({.size_bytes = 0x20'0000, .hole_base = Gpa{0xc000'0000}}).value();
}

/// Hardware-reduced, ECAM only, a polled UART.
inline AcpiOptions modern_machine(u32 cpu_count) {
    AcpiOptions options;
    options.cpu_count = cpu_count;
    options.hardware_reduced = true;
    options.has_ioapic_and_pic = false;
    options.pci = PciHost{.ecam = EcamRange{.base = Gpa{0xe000'0000}, .end_bus = 0},
                          .has_config_ports = false,
                          .memory32 = {.base = Gpa{0xd000'0000}, .size_bytes = 0x1000'0000},
                          .memory64 = PciWindow{.base = Gpa{0x40'0000'0000}, .size_bytes = 0x40'0000'0000}};
    options.serial = SerialPort{.port = 0x3f8, .irq = std::nullopt};
    options.pvpanic_port = 0x505;
    options.has_rtc = false;
    return options;
}

/// The same with an IOAPIC of one pin, the UART's.
inline AcpiOptions machine_with_serial_ioapic(u32 cpu_count) {
    AcpiOptions options = modern_machine(cpu_count);
    options.has_serial_ioapic = true;
    options.serial->irq = 4;
    return options;
}

/// PM registers, IOAPIC and 8259s, CF8/CFC besides ECAM, UART on IRQ 4, CMOS clock.
inline AcpiOptions legacy_machine(u32 cpu_count) {
    AcpiOptions options = modern_machine(cpu_count);
    options.hardware_reduced = false;
    options.has_ioapic_and_pic = true;
    options.pci->has_config_ports = true;
    options.pci->memory64.reset();
    options.serial->irq = 4;
    options.has_rtc = true;
    return options;
}

/// Functions' configuration pages behind ECAM, and INTA# on pins 10 and 11.
inline AcpiOptions legacy_machine_with_intx(u32 cpu_count) {
    AcpiOptions options = legacy_machine(cpu_count);
    options.pci->config_pages = PciWindow{.base = Gpa{0xe010'0000}, .size_bytes = 0x10'0000};
    options.pci->intx = {10, 11};
    return options;
}

/// One page after the other from 3 GiB + 4 KiB; one-digit and two-digit numbers, 8259 and IOAPIC interrupts.
constexpr u32 kVirtioMmioCount = 16;
constexpr u64 kVirtioMmioBase = 0xc000'1000;
constexpr std::array<u8, kVirtioMmioCount> kVirtioMmioGsis{5,  6,  7,  10, 11, 12, 14, 15,
                                                           16, 17, 18, 19, 20, 21, 22, 23};

/// The slots live as long as the program: AcpiOptions only refers to them.
inline std::span<const VirtioMmioSlot> virtio_mmio_slots() {
    static const auto slots = [] {
        std::array<VirtioMmioSlot, kVirtioMmioCount> made{};
        for (u32 i = 0; i < kVirtioMmioCount; ++i)
            made.at(i) = {.base = Gpa{kVirtioMmioBase + i * u64{0x1000}}, .gsi = kVirtioMmioGsis.at(i)};
        return made;
    }();
    return slots;
}

inline AcpiOptions machine_with_virtio_mmio(u32 cpu_count) {
    AcpiOptions options = modern_machine(cpu_count);
    options.virtio_mmio = virtio_mmio_slots();
    return options;
}

/// Every option that takes room.
inline AcpiOptions full_machine(u32 cpu_count) {
    AcpiOptions options = legacy_machine_with_intx(cpu_count);
    options.pci->memory64 = modern_machine(cpu_count).pci->memory64;
    options.virtio_mmio = virtio_mmio_slots();
    return options;
}

/// No PCI, no devices.
inline AcpiOptions bare_machine(u32 cpu_count) {
    AcpiOptions options;
    options.cpu_count = cpu_count;
    return options;
}

inline std::vector<u8> read_bytes(const GuestMemory& memory, u64 at, u64 size_bytes) {
    std::vector<u8> bytes(size_bytes);
    if (memory.read(Gpa{at}, std::as_writable_bytes(std::span(bytes))) != MemStatus::Ok) bytes.clear();
    return bytes;
}

inline u32 le32(const std::vector<u8>& bytes, std::size_t at) {
    u32 value = 0;
    std::memcpy(&value, &bytes.at(at + 3) - 3, sizeof value);
    return value;
}

inline u64 le64(const std::vector<u8>& bytes, std::size_t at) {
    return le32(bytes, at) | u64{le32(bytes, at + 4)} << 32;
}

/// One table, found as a guest finds it: from the RSDP by XSDT, then by signature; DSDT and FACS by the FADT.
struct FoundTable {
    std::string signature;
    u64 base = 0;
    std::vector<u8> bytes;
};

inline FoundTable table_at(const GuestMemory& memory, u64 base) {
    const std::vector<u8> head = read_bytes(memory, base, 8);
    return {std::string(head.begin(), head.begin() + 4), base, read_bytes(memory, base, le32(head, 4))};
}

inline std::vector<FoundTable> find_tables(const GuestMemory& memory, Gpa rsdp_base) {
    const std::vector<u8> rsdp = read_bytes(memory, rsdp_base.value, 36);
    std::vector<FoundTable> found{table_at(memory, le64(rsdp, 24))};
    if (le32(rsdp, 16) != 0) found.push_back(table_at(memory, le32(rsdp, 16)));
    const std::vector<u8> xsdt = found.front().bytes;
    for (std::size_t at = 36; at + 8 <= xsdt.size(); at += 8) {
        found.push_back(table_at(memory, le64(xsdt, at)));
        const FoundTable fadt = found.back();
        if (fadt.signature != "FACP") continue;
        found.push_back(table_at(memory, le64(fadt.bytes, 140)));
        if (le32(fadt.bytes, 36) != 0) found.push_back(table_at(memory, le32(fadt.bytes, 36)));
    }
    return found;
}

/// Bytes of the table with that signature, empty when it is missing.
inline std::vector<u8> find_table(const GuestMemory& memory, Gpa rsdp, const std::string& signature) {
    for (const FoundTable& table : find_tables(memory, rsdp))
        if (table.signature == signature) return table.bytes;
    return {};
}

}  // namespace mayfly::test
