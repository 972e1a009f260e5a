// SPDX-License-Identifier: Apache-2.0
// Registers of the PC16550D UART, by the data sheet's mnemonics.
// Spec: PC16550D §8.0 "Registers" and the subsections named below.
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::uart16550 {

// Offsets. RBR, THR and DLL share one address, IER and DLM the next, IIR and FCR the third.
constexpr u64 kRbrThrDll = 0;
constexpr u64 kIerDlm = 1;
constexpr u64 kIirFcr = 2;
constexpr u64 kLcr = 3;
constexpr u64 kMcr = 4;
constexpr u64 kLsr = 5;
constexpr u64 kMsr = 6;
constexpr u64 kScr = 7;
constexpr u64 kRegisters = 8;

// IER: PC16550D §8.6 "Interrupt Enable Register".
constexpr u8 kErbfi = 0x01;
constexpr u8 kEtbei = 0x02;
constexpr u8 kElsi = 0x04;
constexpr u8 kEdssi = 0x08;
constexpr u8 kIerMask = 0x0f;

// IIR: PC16550D §8.5 "Interrupt Identification Register", in order of priority.
constexpr u8 kIirLineStatus = 0x06;
constexpr u8 kIirReceivedData = 0x04;
constexpr u8 kIirCharacterTimeout = 0x0c;
constexpr u8 kIirThrEmpty = 0x02;
constexpr u8 kIirModemStatus = 0x00;
constexpr u8 kIirNone = 0x01;
constexpr u8 kIirFifosEnabled = 0xc0;

// FCR: PC16550D §8.4 "FIFO Control Register".
constexpr u8 kFcrEnable = 0x01;
constexpr u8 kFcrReceiverReset = 0x02;
constexpr u8 kFcrStored = 0xc9;  // enable, DMA mode select, trigger; the reset bits clear themselves
constexpr u8 kFcrTriggerShift = 6;
constexpr u8 kFifoDepth = 16;
constexpr u8 kTriggerLevels[4] = {1, 4, 8, 14};

// LCR: PC16550D §8.1 "Line Control Register".
constexpr u8 kDlab = 0x80;

// MCR: PC16550D §8.7 "Modem Control Register".
constexpr u8 kDtr = 0x01;
constexpr u8 kRts = 0x02;
constexpr u8 kOut1 = 0x04;
constexpr u8 kOut2 = 0x08;
constexpr u8 kLoop = 0x10;
constexpr u8 kMcrMask = 0x1f;

// LSR: PC16550D §8.3 "Line Status Register".
constexpr u8 kDr = 0x01;
constexpr u8 kOe = 0x02;
constexpr u8 kThre = 0x20;
constexpr u8 kTemt = 0x40;

// MSR: PC16550D §8.8 "Modem Status Register".
constexpr u8 kDcts = 0x01;
constexpr u8 kDdsr = 0x02;
constexpr u8 kTeri = 0x04;
constexpr u8 kDdcd = 0x08;
constexpr u8 kCts = 0x10;
constexpr u8 kDsr = 0x20;
constexpr u8 kRi = 0x40;
constexpr u8 kDcd = 0x80;

}  // namespace mayfly::uart16550
