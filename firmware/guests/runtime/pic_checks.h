// SPDX-License-Identifier: Apache-2.0
// Checks of the 8259 pair that hold for every emulation: KVM behind LINT0, or user space by KVM_INTERRUPT.
//
// Spec: Intel 8259A data sheet (order 231468) "Interrupt Sequence", "Interrupt Mask Register" and
// "Edge and Level Triggered Modes".
#pragma once

#include "firmware/guests/runtime/interrupts.h"
#include "firmware/guests/runtime/legacy.h"
#include "firmware/guests/runtime/test_device.h"

namespace guest::pic_checks {

/// Initializes both chips, then: a master IRQ, a slave IRQ through the cascade, masks, a withdrawn
/// request.
void run();

/// A rising edge on the master's IRQ that must not arrive; lowers and masks it again.
void expect_silence(Text name);

/// Interrupts of the master's IRQ so far.
extern volatile u32 master_count;
constexpr u16 kMasterIrq = 5;
constexpr u16 kSlaveIrq = 10;

}  // namespace guest::pic_checks
