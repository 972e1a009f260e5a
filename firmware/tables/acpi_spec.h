// SPDX-License-Identifier: Apache-2.0
// ACPI table signatures, revisions, sizes and flags.
//
// Names come from ACPI 6.5 §5.2 "ACPI System Description Tables"; MCFG from PCI Firmware Specification 3.3
// §4.1.2 "MCFG Table Description".
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::acpi {

// ACPI 6.5 §5.2.5.3 "Root System Description Pointer (RSDP) Structure"
inline constexpr u8 RSDP_REVISION = 2;
inline constexpr u64 RSDP_BYTES = 36;
inline constexpr u64 RSDP_V1_BYTES = 20;  ///< covered by the first checksum
inline constexpr u64 RSDP_CHECKSUM = 8;   ///< offsets from here
inline constexpr u64 RSDP_RSDT_ADDRESS = 16;
inline constexpr u64 RSDP_XSDT_ADDRESS = 24;
inline constexpr u64 RSDP_EXTENDED_CHECKSUM = 32;

// ACPI 6.5 §5.2.6 "System Description Table Header"
inline constexpr u64 HEADER_LENGTH = 4;
inline constexpr u64 HEADER_CHECKSUM = 9;

inline constexpr u8 RSDT_REVISION = 1;
inline constexpr u8 XSDT_REVISION = 1;
inline constexpr u8 DSDT_REVISION = 2;  ///< integers are 64 bits wide
inline constexpr u8 MADT_REVISION = 6;
inline constexpr u8 MCFG_REVISION = 1;
inline constexpr u8 FADT_MAJOR_REVISION = 6;
inline constexpr u8 FADT_MINOR_REVISION = 5;

// ACPI 6.5 §5.2.9 "Fixed ACPI Description Table (FADT)", fixed feature flags
inline constexpr u32 WBINVD = 1u << 0;
inline constexpr u32 PROC_C1 = 1u << 2;
inline constexpr u32 PWR_BUTTON = 1u << 4;  ///< set: no fixed power button
inline constexpr u32 SLP_BUTTON = 1u << 5;  ///< set: no fixed sleep button
inline constexpr u32 FIX_RTC = 1u << 6;     ///< set: no RTC wake status in fixed registers
inline constexpr u32 RESET_REG_SUP = 1u << 10;
inline constexpr u32 HEADLESS = 1u << 12;
inline constexpr u32 HW_REDUCED_ACPI = 1u << 20;
inline constexpr u16 P_LVL2_LAT_NONE = 101;
inline constexpr u16 P_LVL3_LAT_NONE = 1001;

// ACPI 6.5 §5.2.9.3 "IA-PC Boot Architecture Flags"
inline constexpr u16 LEGACY_DEVICES = 1u << 0;
inline constexpr u16 VGA_NOT_PRESENT = 1u << 2;
inline constexpr u16 PCIE_ASPM_CONTROLS = 1u << 4;  ///< set: do not enable ASPM
inline constexpr u16 CMOS_RTC_NOT_PRESENT = 1u << 5;

// ACPI 6.5 §5.2.3.2 "Generic Address Structure"
inline constexpr u8 GAS_SYSTEM_IO = 1;
inline constexpr u8 GAS_BYTE_ACCESS = 1;
inline constexpr u8 GAS_WORD_ACCESS = 2;

// ACPI 6.5 §4.8.3.6 "Reset Register": the value makes the PC's port 0xCF9 do a full reset.
inline constexpr u8 RESET_VALUE = 6;

// ACPI 6.5 §5.2.10 "Firmware ACPI Control Structure (FACS)"
inline constexpr u64 FACS_BYTES = 64;
inline constexpr u64 FACS_ALIGNMENT = 64;
inline constexpr u8 FACS_VERSION = 2;

// ACPI 6.5 §5.2.12 "Multiple APIC Description Table (MADT)"
inline constexpr u32 PCAT_COMPAT = 1;
inline constexpr u8 LOCAL_APIC = 0;
inline constexpr u8 IO_APIC = 1;
inline constexpr u8 INTERRUPT_SOURCE_OVERRIDE = 2;
inline constexpr u8 LOCAL_APIC_NMI = 4;
inline constexpr u8 LOCAL_X2APIC = 9;
inline constexpr u8 LOCAL_X2APIC_NMI = 10;
inline constexpr u32 APIC_ENABLED = 1;
inline constexpr u32 LOCAL_APIC_ID_MAX = 254;  ///< 255 is broadcast
inline constexpr u8 ALL_PROCESSORS = 0xff;
inline constexpr u32 ALL_PROCESSORS_X2APIC = 0xffff'ffff;
// MPS INTI flags: polarity in bits 1:0, trigger mode in bits 3:2.
inline constexpr u16 INTI_CONFORMS = 0;
inline constexpr u16 INTI_ACTIVE_HIGH_LEVEL = 1u << 0 | 3u << 2;

}  // namespace mayfly::acpi
