// SPDX-License-Identifier: Apache-2.0
// Registers of the MC146818A real-time clock and the memory cells that a PC's BIOS keeps in its RAM.
// Spec: MC146818A data sheet (1984), "Time, calendar and alarm locations", "Registers".
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::cmos {

constexpr u8 kSeconds = 0x00;
constexpr u8 kMinutes = 0x02;
constexpr u8 kHours = 0x04;
constexpr u8 kDayOfWeek = 0x06;  // Sunday is 1
constexpr u8 kDayOfMonth = 0x07;
constexpr u8 kMonth = 0x08;
constexpr u8 kYear = 0x09;
constexpr u8 kRegisterA = 0x0a;
constexpr u8 kRegisterB = 0x0b;
constexpr u8 kRegisterC = 0x0c;
constexpr u8 kRegisterD = 0x0d;
constexpr u8 kCells = 0x80;

// Register A: bit 7 is UIP. 0x26: the 32768 Hz time base runs, 1024 Hz periodic rate.
constexpr u8 kUpdateInProgress = 0x80;
constexpr u8 kRegisterAReset = 0x26;

// Register B.
constexpr u8 kSet = 0x80;
constexpr u8 kDataModeBinary = 0x04;
constexpr u8 kHours24 = 0x02;
constexpr u8 kPm = 0x80;  // in the hours cell, when counting by 12

// Register C.
constexpr u8 kUpdateEnded = 0x10;

// Register D: valid RAM and time.
constexpr u8 kValid = 0x80;

// IBM PC/AT cells.
constexpr u8 kBaseMemoryLow = 0x15;       // KiB below 1 MiB
constexpr u8 kExtendedMemoryLow = 0x17;   // KiB above 1 MiB, at most 65535
constexpr u8 kExtendedMemory2Low = 0x30;  // the same, as found by the power-on test
constexpr u8 kCentury = 0x32;
constexpr u8 kMemoryAbove16MLow = 0x34;  // 64 KiB units from 16 MiB to the hole, as QEMU and Bochs have it
constexpr u8 kMemoryAbove4GLow = 0x5b;   // 64 KiB units above 4 GiB, three bytes, as QEMU and Bochs have it

}  // namespace mayfly::cmos
