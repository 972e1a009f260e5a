// SPDX-License-Identifier: Apache-2.0
// MP table entry types and flags.
//
// Names come from MultiProcessor Specification 1.4 §4 "MP Configuration Table".
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::mp {

inline constexpr u8 SPEC_REV = 4;  ///< version 1.4
inline constexpr u64 FLOATING_POINTER_BYTES = 16;
inline constexpr u64 FLOATING_CHECKSUM = 10;
inline constexpr u64 HEADER_BASE_TABLE_LENGTH = 4;
inline constexpr u64 HEADER_CHECKSUM = 7;
inline constexpr u64 HEADER_ENTRY_COUNT = 34;

// MultiProcessor Specification 1.4 §4.3 "Base MP Configuration Table Entries"
inline constexpr u8 PROCESSOR = 0;
inline constexpr u8 BUS = 1;
inline constexpr u8 IO_APIC = 2;
inline constexpr u8 IO_INTERRUPT = 3;
inline constexpr u8 LOCAL_INTERRUPT = 4;

inline constexpr u8 CPU_ENABLED = 0x01;
inline constexpr u8 CPU_BOOTSTRAP = 0x02;
inline constexpr u8 IO_APIC_USABLE = 0x01;

inline constexpr u8 INT = 0;
inline constexpr u8 NMI = 1;
inline constexpr u8 EXT_INT = 3;
inline constexpr u16 CONFORMS_TO_BUS = 0;
inline constexpr u8 ALL_LOCAL_APICS = 0xff;

}  // namespace mayfly::mp
