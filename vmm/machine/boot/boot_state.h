// SPDX-License-Identifier: Apache-2.0
// boot_state: each vCPU's initial state: a boot protocol's promises (EntryState) as KVM's register
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

/// Changes the registers of a vCPU after reset as the CPU mode requires; keeps the rest (APIC base).
void apply_entry_mode(const EntryState& entry, kvm_sregs& sregs);

/// The facts from which every vCPU's CPUID is made; the TSC's rate is per vCPU.
[[nodiscard]] CpuidFacts cpuid_facts(u32 cpu_count, Irqchip irqchip, const HostKind& host,
                                     bool has_tsc_deadline);

/// MSRs that a kernel expects firmware to have set.
[[nodiscard]] std::array<kvm_msr_entry, 2> entry_msrs();

}  // namespace mayfly
