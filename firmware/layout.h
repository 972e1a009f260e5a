// SPDX-License-Identifier: Apache-2.0
// The guest-physical map and the port map: one table for everything that a guest finds at a fixed place.
//
// RAM is contiguous from 0 to the hole, also under 0xA0000-0xFFFFF: old kernels that poke VGA text
// memory or scan ROMs hit harmless RAM. Structures that a kernel's own segments would cover go elsewhere,
// except the extended BIOS data area and the tables that kernels search for.
#pragma once

#include <array>

#include "vmm/error/ints.h"
#include "vmm/memory/gpa.h"

namespace mayfly::layout {

// --- Low memory, all below 1 MiB so that a 2 MiB guest has everything -------------------------------

/// BIOS data area, behind the interrupt vectors of real mode.
constexpr Gpa kBiosData{0x400};
/// Boot GDT: null, (unused), code, data, TSS; at Firecracker's address.
constexpr Gpa kGdt{0x500};
constexpr u64 kGdtBytes = 0x80;
/// First byte above the boot stack, 16-byte aligned; the stack may grow down to kBootStackBottom.
constexpr Gpa kBootStackBottom{0x1000};
constexpr Gpa kBootStackTop{0x5ff0};
/// PVH hvm_start_info, module list and memory map; Multiboot 1 information structure.
constexpr Gpa kBootInfo{0x6000};
constexpr u64 kBootInfoBytes = 0x1000;
/// Linux boot_params ("zero page"), where Firecracker puts it.
constexpr Gpa kZeroPage{0x7000};
/// Linux setup_data chain (RNG seed).
constexpr Gpa kSetupData{0x8000};
/// Identity page tables for 0-4 GiB in 2 MiB pages: PML4, PDPT, four page directories.
constexpr Gpa kPageTables{0x9000};
constexpr u64 kPageTablesBytes = 0x6000;
/// Multiboot 2 information, Multiboot 1 and PVH lists and strings that outgrow kBootInfo.
constexpr Gpa kBootStrings{0x10000};
constexpr u64 kBootStringsBytes = 0x10000;
/// Kernel command line, NUL-terminated.
constexpr Gpa kCommandLine{0x20000};
constexpr u64 kCommandLineBytes = 0x10000;
/// First address above the fixed rows that a kernel in low memory may use.
constexpr Gpa kLowFree{0x30000};
/// Extended BIOS data area: reserved in the memory map; its first byte is its size in KiB.
constexpr Gpa kEbda{0x9fc00};
constexpr Gpa kVgaHole{0xa0000};
/// RSDP and every ACPI table; the BIOS area that every kernel scans for "RSD PTR ".
constexpr Gpa kAcpi{0xe0000};
constexpr u64 kAcpiBytes = 0x10000;
/// MP floating pointer and configuration table (64 processors need 1.6 KiB).
constexpr Gpa kMpTable{0xf0000};
constexpr u64 kMpTableBytes = 0x10000;
/// Where a processor starts after a reset, as seen from real mode: F000:FFF0.
constexpr Gpa kResetVector{0xffff0};
constexpr Gpa kHighMemory{0x100000};

static_assert(kBootStackTop.value <= kBootInfo.value);
static_assert(kBootInfo.value + kBootInfoBytes <= kZeroPage.value);
static_assert(kPageTables.value + kPageTablesBytes <= kBootStrings.value);
static_assert(kBootStrings.value + kBootStringsBytes <= kCommandLine.value);
static_assert(kCommandLine.value + kCommandLineBytes <= kLowFree.value);
static_assert(kAcpi.value + kAcpiBytes <= kMpTable.value);
static_assert(kMpTable.value + kMpTableBytes <= kHighMemory.value);

// --- The hole below 4 GiB ---------------------------------------------------------------------------

/// RAM stops here and continues at 4 GiB.
constexpr Gpa kHole{0xc000'0000};
/// Firecracker's boot timer: a byte 123 written here is a boot mark.
constexpr Gpa kBootTimer{0xc000'0000};
/// virtio-mmio windows, 4 KiB each, the first where Firecracker puts it.
constexpr Gpa kVirtioMmio{0xc000'1000};
/// A UART that can only send, behind those windows. Only the command line announces it.
constexpr Gpa kEarlyConsole{0xc001'1000};
constexpr u64 kEarlyConsoleBytes = 0x1000;
/// Where PCI functions' memory BARs go.
constexpr Gpa kPciMemory{0xc800'0000};
constexpr u64 kPciMemoryBytes = 0x1800'0000;
/// PCI Express configuration space of bus 0.
constexpr Gpa kEcam{0xe000'0000};
constexpr u64 kEcamBytes = 0x10'0000;
/// After it the configuration pages of PCI functions, one each: both together are one read-only slot.
constexpr Gpa kPciConfigPages{kEcam.value + kEcamBytes};
constexpr u64 kPciConfigPagesBytes = 0x10'0000;
constexpr Gpa kIoApic{0xfec0'0000};
constexpr Gpa kLocalApic{0xfee0'0000};
/// Three pages and one page that KVM needs on Intel hosts without unrestricted guest.
constexpr Gpa kKvmIdentityMap{0xfeff'c000};
constexpr Gpa kKvmTss{0xfeff'd000};
constexpr Gpa kAboveHole{GiB(4)};

/// The smallest guest: everything below 1 MiB plus the first megabyte for a kernel.
constexpr u64 kMemoryMin = MiB(2);

// --- Ports ------------------------------------------------------------------------------------------

constexpr u16 kPortPit = 0x40;
constexpr u16 kPortI8042Data = 0x60;
constexpr u16 kPortSystemControlB = 0x61;
constexpr u16 kPortI8042Command = 0x64;
constexpr u16 kPortCmos = 0x70;
constexpr u16 kPortPost = 0x80;
constexpr u16 kPortSystemControlA = 0x92;
constexpr u16 kPortDebugConsole = 0xe9;
constexpr u16 kPortExit = 0xf4;
constexpr u16 kPortSerial = 0x3f8;
constexpr u16 kPortPvpanic = 0x505;
constexpr u16 kPortReady = 0x508;
/// ACPI PM1a event block (legacy), 4 bytes, and control block, 2 bytes, at the addresses of QEMU's PC.
constexpr u16 kPortPm1aEvent = 0x600;
constexpr u16 kPortPm1aControl = 0x604;
/// ACPI sleep control and sleep status registers (hardware-reduced), one byte each.
constexpr u16 kPortSleepControl = 0x610;
constexpr u16 kPortSleepStatus = 0x611;
constexpr u16 kPortPciConfig = 0xcf8;
/// Our init's ports, 6 bytes (firmware/init/channel.h), only with --exec.
constexpr u16 kPortInit = 0x620;
constexpr u16 kPortReset = 0xcf9;
/// Where the I/O BARs of transitional PCI functions go.
constexpr u16 kPortPciIo = 0xc000;
/// ACPI S5 sleep type value, in both register kinds.
constexpr u8 kSleepTypeS5 = 5;

// --- Interrupts -------------------------------------------------------------------------------------

constexpr u8 kIrqSerial = 4;
constexpr u8 kIrqAcpiSci = 9;
/// INTA# of PCI devices with even and with odd numbers: level, and the same on 8259 and IOAPIC.
constexpr std::array<u8, 2> kIrqPci{10, 11};
/// Edges for virtio-mmio, in the devices' order: unused ISA interrupts, then IOAPIC pins.
constexpr std::array<u8, 16> kIrqVirtioMmio{5, 6, 7, 10, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};
/// The PIT reaches IOAPIC pin 2, as every PC chipset routes it.
constexpr u8 kPitIoApicPin = 2;
constexpr u8 kIoApicPins = 24;

}  // namespace mayfly::layout
