// SPDX-License-Identifier: Apache-2.0
// boot_state: what each vCPU starts with: what a boot protocol promises (EntryState) as KVM's register
// structures, and the facts behind its CPUID.
//
// Thread: any; values only.
#pragma once

#include <array>

#include <linux/kvm.h>

#include "firmware/boot/entry_state.h"
#include "vmm/kvm/cpuid.h"
#include "vmm/kvm/host_kind.h"
#include "vmm/machine/plan/profile.h"

namespace mayfly {

/// General registers at entry; interrupts are off.
[[nodiscard]] kvm_regs entry_regs(const EntryState& entry);

/// Changes what the mode needs in the registers KVM gave the vCPU at reset; keeps the rest (APIC base).
void apply_entry_mode(const EntryState& entry, kvm_sregs& sregs);

/// What the CPUID of every vCPU is made by; the TSC's rate is each one's own.
[[nodiscard]] CpuidFacts cpuid_facts(u32 cpu_count, Irqchip irqchip, const HostKind& host,
                                     bool has_tsc_deadline);

/// MSRs that a kernel expects firmware to have set.
[[nodiscard]] std::array<kvm_msr_entry, 2> entry_msrs();

}  // namespace mayfly
