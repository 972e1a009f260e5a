// SPDX-License-Identifier: Apache-2.0
// Interrupt vectors and handlers. The IDT has 64 vectors; the first 32 end the guest with
// status 99.
#pragma once

#include "firmware/guests/runtime/cpu.h"

namespace guest {

struct InterruptFrame;
using InterruptHandler = void (*)(InterruptFrame*);

constexpr u8 kNmiVector = 2;
constexpr u8 kPicVector = 0x20;  // 16 vectors
constexpr u8 kTimerVector = 0x30;
constexpr u8 kIpiVector = 0x31;
constexpr u8 kReplyVector = 0x32;
constexpr u8 kMsiVector = 0x33;
constexpr u8 kPinVector = 0x34;
constexpr u8 kSecondPinVector = 0x35;
constexpr u8 kAlarmVector = 0x3e;
constexpr u8 kSpuriousVector = 0x3f;

/// The exit code of a guest that took an exception it did not expect.
constexpr u32 kFaultExit = 99;

/// Points `vector` (below 64) at a function with [[gnu::interrupt]].
void set_gate(u8 vector, InterruptHandler handler);

}  // namespace guest
