// SPDX-License-Identifier: Apache-2.0
// boot_state: turns what a boot protocol promises (EntryState) into KVM's register structures.
#pragma once

#include <array>

#include <linux/kvm.h>

#include "firmware/boot/entry_state.h"

namespace mayfly {

/// General registers at entry; interrupts are off.
[[nodiscard]] kvm_regs entry_regs(const EntryState& entry);

/// Changes what the mode needs in the registers KVM gave the vCPU at reset; keeps the rest (APIC base).
void apply_entry_mode(const EntryState& entry, kvm_sregs& sregs);

/// MSRs that a kernel expects firmware to have set.
[[nodiscard]] std::array<kvm_msr_entry, 2> entry_msrs();

}  // namespace mayfly
