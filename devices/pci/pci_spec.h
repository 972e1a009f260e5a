// SPDX-License-Identifier: Apache-2.0
// Registers of a PCI function's configuration space and of MSI-X, by the specifications' names.
//
// Spec: PCI Local Bus Specification 3.0 §6.1 "Configuration Space Organization", §6.2 "Configuration Space
// Functions", §6.7 "Capabilities List", §6.8.2 "MSI-X Capability and Table Structures"; PCI Express Base
// Specification 3.0 §7.5 "PCI-Compatible Configuration Registers".
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::pci {

// §6.1 "Configuration Space Organization": a type 00h header
constexpr u16 VENDOR_ID = 0x00;
constexpr u16 DEVICE_ID = 0x02;
constexpr u16 COMMAND = 0x04;
constexpr u16 STATUS = 0x06;
constexpr u16 REVISION_ID = 0x08;
constexpr u16 CLASS_CODE = 0x09;  ///< three bytes: interface, sub-class, base class
constexpr u16 CACHE_LINE_SIZE = 0x0c;
constexpr u16 HEADER_TYPE = 0x0e;
constexpr u16 BASE_ADDRESS_0 = 0x10;
constexpr u16 SUBSYSTEM_VENDOR_ID = 0x2c;
constexpr u16 SUBSYSTEM_ID = 0x2e;
constexpr u16 CAPABILITIES_POINTER = 0x34;
constexpr u16 INTERRUPT_LINE = 0x3c;
constexpr u16 INTERRUPT_PIN = 0x3d;
constexpr u16 HEADER_BYTES = 0x40;

constexpr u8 HEADER_TYPE_MULTIFUNCTION = 0x80;
constexpr u8 BASE_ADDRESSES = 6;

// §6.2.2 "Device Control"
constexpr u16 COMMAND_IO_SPACE = 1 << 0;
constexpr u16 COMMAND_MEMORY_SPACE = 1 << 1;
constexpr u16 COMMAND_BUS_MASTER = 1 << 2;
constexpr u16 COMMAND_INTERRUPT_DISABLE = 1 << 10;

// §6.2.3 "Device Status"
constexpr u16 STATUS_INTERRUPT = 1 << 3;
constexpr u16 STATUS_CAPABILITIES_LIST = 1 << 4;
/// Parity errors, target and master aborts, system error: set by the function, cleared by writing ones.
constexpr u16 STATUS_RW1C = 0xf900;

// §6.2.5.1 "Address Maps"
constexpr u32 BASE_ADDRESS_IO = 1 << 0;
constexpr u32 BASE_ADDRESS_IO_BYTES_MIN = 4;
constexpr u32 BASE_ADDRESS_MEMORY_BYTES_MIN = 16;

// §6.7 "Capabilities List"
constexpr u8 CAPABILITY_HEADER_BYTES = 2;
constexpr u8 CAP_ID_VENDOR_SPECIFIC = 0x09;
constexpr u8 CAP_ID_MSIX = 0x11;

// §6.8.2 "MSI-X Capability and Table Structures"
constexpr u8 MSIX_MESSAGE_CONTROL = 2;
constexpr u16 MSIX_CONTROL_FUNCTION_MASK = 1 << 14;
constexpr u16 MSIX_CONTROL_ENABLE = 1 << 15;
constexpr u16 MSIX_VECTORS_MAX = 2048;
constexpr u8 MSIX_ENTRY_BYTES = 16;
constexpr u8 MSIX_ENTRY_ADDRESS = 0;
constexpr u8 MSIX_ENTRY_DATA = 8;
constexpr u8 MSIX_ENTRY_CONTROL = 12;
constexpr u32 MSIX_ENTRY_CONTROL_MASK = 1 << 0;

// §3.2.2.3.2 "Software Generation of Configuration Transactions"
constexpr u32 CONFIG_ADDRESS_ENABLE = u32{1} << 31;
constexpr u32 CONFIG_ADDRESS_WRITABLE = 0x80ff'fffc;

// PCI Express Base Specification 3.0 §7.2.2 "PCI Express Enhanced Configuration Access Mechanism (ECAM)"
constexpr u16 EXTENDED_CONFIG_BYTES = 4096;
constexpr u16 FUNCTIONS_PER_BUS = 256;

// The generic host bridge that QEMU's gpex announces: no driver binds to it and no quirk table lists it.
constexpr u16 HOST_BRIDGE_VENDOR = 0x1b36;
constexpr u16 HOST_BRIDGE_DEVICE = 0x0008;
constexpr u32 HOST_BRIDGE_CLASS = 0x06'00'00;

}  // namespace mayfly::pci
