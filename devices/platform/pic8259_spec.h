// SPDX-License-Identifier: Apache-2.0
// Command words of the 8259A, by the data sheet's names.
// Spec: Intel 8259A data sheet (231468), "Initialization Command Words (ICWs)" and "Operation Command Words
// (OCWs)".
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::pic8259 {

// Written to the even port: D4 set is ICW1, else D3 set is OCW3, else OCW2.
constexpr u8 kIcw1 = 0x10;
constexpr u8 kIcw1Ic4 = 0x01;
constexpr u8 kIcw1Single = 0x02;
constexpr u8 kIcw2VectorMask = 0xf8;
constexpr u8 kIcw4AutoEoi = 0x02;
constexpr u8 kIcw4FullyNested = 0x10;  // SFNM

constexpr u8 kOcw2CommandShift = 5;  // R, SL, EOI
constexpr u8 kOcw2LevelMask = 0x07;
constexpr u8 kOcw2RotateAutoEoiClear = 0;
constexpr u8 kOcw2NonSpecificEoi = 1;
constexpr u8 kOcw2SpecificEoi = 3;
constexpr u8 kOcw2RotateAutoEoiSet = 4;
constexpr u8 kOcw2RotateNonSpecificEoi = 5;
constexpr u8 kOcw2SetPriority = 6;
constexpr u8 kOcw2RotateSpecificEoi = 7;

constexpr u8 kOcw3 = 0x08;
constexpr u8 kOcw3Ris = 0x01;
constexpr u8 kOcw3Rr = 0x02;
constexpr u8 kOcw3Poll = 0x04;
constexpr u8 kOcw3Smm = 0x20;
constexpr u8 kOcw3Esmm = 0x40;

constexpr u8 kPollInterrupt = 0x80;  // in the byte that a poll command returns
constexpr u8 kLevels = 8;
constexpr u8 kSpuriousLevel = 7;
constexpr u8 kCascadeLevel = 2;

// ELCR: Intel ICH9 (316972) §13.4.10 "ELCR1", §13.4.11 "ELCR2". Timer, keyboard, cascade, clock and
// coprocessor lines are always edge-triggered.
constexpr u8 kElcrWritable[2] = {0xf8, 0xde};

}  // namespace mayfly::pic8259
