// SPDX-License-Identifier: Apache-2.0
// The ACPI tables: the machine's description of its processors, interrupts, buses and power for the guest.
//
// The tables describe; the registers they name belong to devices. Everything lies in layout::kAcpi, the
// RSDP first, built in one buffer on the stack and copied once.
// Two shapes: hardware-reduced (no PM registers, no SCI, no legacy interrupt controllers; power-off through
// the sleep control register) and PC (PM1a block always in ACPI mode, SCI, IOAPIC with two 8259).
// Thread: any, before the guest runs. Spec: ACPI 6.5 §5.2 "ACPI System Description Tables".
#pragma once

#include <array>
#include <optional>
#include <span>

#include "vmm/error/result.h"
#include "vmm/memory/guest_memory.h"

namespace mayfly {

/// PCI Express configuration space of segment 0, buses 0 to `end_bus`.
struct EcamRange {
    Gpa base;
    u8 end_bus = 0;
};

/// Addresses that the PCI host bridge forwards; `size_bytes` is not 0.
struct PciWindow {
    Gpa base;
    u64 size_bytes = 0;
};

struct PciHost {
    std::optional<EcamRange> ecam;
    /// CF8/CFC answer. Linux prefers them to ECAM, so announcing them is a choice.
    bool has_config_ports = false;
    PciWindow memory32;  ///< ends at or below 4 GiB
    /// A second window, for the functions' configuration pages.
    std::optional<PciWindow> config_pages = {};
    std::optional<PciWindow> memory64 = {};
    /// INTA# of even and odd device numbers reaches these pins of the IOAPIC, level-triggered.
    std::optional<std::array<u8, 2>> intx = {};
};

/// A virtio device without a bus.
struct VirtioMmioSlot {
    Gpa base;
    u8 gsi = 0;  ///< edge
};

struct SerialPort {
    u16 port = 0;
    /// An edge. None: the guest polls.
    std::optional<u8> irq;
};

struct AcpiOptions {
    u32 cpu_count = 1;  ///< processor n has local APIC id n and _UID n
    bool hardware_reduced = true;
    /// An IOAPIC at layout::kIoApic and two 8259, with the PIT on IOAPIC pin 2.
    bool has_ioapic_and_pic = false;
    /// Instead of them, an IOAPIC with one pin, the serial port's.
    bool has_serial_ioapic = false;
    std::optional<PciHost> pci;
    std::optional<SerialPort> serial;
    std::optional<u16> pvpanic_port;
    std::span<const VirtioMmioSlot> virtio_mmio;
    bool has_rtc = false;  ///< at layout::kPortCmos, its century in register 0x32
};

/// Writes all tables and returns where the RSDP is, which every boot protocol can pass on.
/// Errors: more processors than the area holds.
Result<Gpa> write_acpi(const GuestMemory& memory, const AcpiOptions& options);

}  // namespace mayfly
