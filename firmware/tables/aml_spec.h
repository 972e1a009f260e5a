// SPDX-License-Identifier: Apache-2.0
// AML opcodes and resource descriptor tags.
//
// Names come from ACPI 6.5 §20.2 "AML Grammar Definition", §6.4.2 "Small Resource Data Type" and §6.4.3
// "Large Resource Data Type".
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::aml {

// ACPI 6.5 §20.2.2 "Name Objects Encoding"
inline constexpr u8 RootChar = 0x5c;
inline constexpr u8 DualNamePrefix = 0x2e;
inline constexpr u8 MultiNamePrefix = 0x2f;

// ACPI 6.5 §20.2.3 "Data Objects Encoding"
inline constexpr u8 ZeroOp = 0x00;
inline constexpr u8 OneOp = 0x01;
inline constexpr u8 BytePrefix = 0x0a;
inline constexpr u8 WordPrefix = 0x0b;
inline constexpr u8 DWordPrefix = 0x0c;
inline constexpr u8 StringPrefix = 0x0d;
inline constexpr u8 QWordPrefix = 0x0e;
inline constexpr u8 OnesOp = 0xff;

// ACPI 6.5 §20.2.5 "Term Objects Encoding"
inline constexpr u8 NameOp = 0x08;
inline constexpr u8 ScopeOp = 0x10;
inline constexpr u8 BufferOp = 0x11;
inline constexpr u8 PackageOp = 0x12;
inline constexpr u8 MethodOp = 0x14;
inline constexpr u8 ExtOpPrefix = 0x5b;
inline constexpr u8 DeviceOp = 0x82;  ///< after ExtOpPrefix
inline constexpr u8 ReturnOp = 0xa4;

}  // namespace mayfly::aml

namespace mayfly::acpi_resource {

// Small items: type 0, name in bits 6:3, length in bits 2:0.
inline constexpr u8 IRQ_NO_FLAGS = 0x22;  ///< edge, active high, exclusive
inline constexpr u8 IO_PORT = 0x47;
inline constexpr u8 END_TAG = 0x79;
// Large items: bit 7, name in bits 6:0, then a 16-bit length.
inline constexpr u8 MEMORY32_FIXED = 0x86;
inline constexpr u8 DWORD_ADDRESS_SPACE = 0x87;
inline constexpr u8 WORD_ADDRESS_SPACE = 0x88;
inline constexpr u8 EXTENDED_INTERRUPT = 0x89;
inline constexpr u8 QWORD_ADDRESS_SPACE = 0x8a;

inline constexpr u8 IO_DECODE16 = 0x01;
inline constexpr u8 MEMORY_READ_WRITE = 0x01;

// ACPI 6.5 §6.4.3.5 "Address Space Resource Descriptors"
inline constexpr u8 TYPE_MEMORY = 0;
inline constexpr u8 TYPE_IO = 1;
inline constexpr u8 TYPE_BUS_NUMBER = 2;
inline constexpr u8 MIN_FIXED = 0x04;
inline constexpr u8 MAX_FIXED = 0x08;
inline constexpr u8 IO_ENTIRE_RANGE = 0x03;

// ACPI 6.5 §6.4.3.6 "Extended Interrupt Descriptor"
inline constexpr u8 INTERRUPT_CONSUMER = 0x01;
inline constexpr u8 INTERRUPT_EDGE = 0x02;

}  // namespace mayfly::acpi_resource
