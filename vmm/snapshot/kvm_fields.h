// SPDX-License-Identifier: Apache-2.0
// The members of KVM's state, for Encoder and Decoder.
#pragma once

#include "vmm/kvm/state/vcpu_state.h"
#include "vmm/kvm/state/vm_state.h"
#include "vmm/snapshot/format/coded_types.h"

namespace mayfly {

// Each fields() names all members: one that is added does not compile until it is coded.

namespace coded {

template <>
inline constexpr bool is_kernel_structure<kvm_mp_state> = true;
template <>
inline constexpr bool is_kernel_structure<kvm_regs> = true;
template <>
inline constexpr bool is_kernel_structure<kvm_sregs2> = true;
template <>
inline constexpr bool is_kernel_structure<kvm_xcrs> = true;
template <>
inline constexpr bool is_kernel_structure<kvm_debugregs> = true;
template <>
inline constexpr bool is_kernel_structure<kvm_lapic_state> = true;
template <>
inline constexpr bool is_kernel_structure<kvm_vcpu_events> = true;
template <>
inline constexpr bool is_kernel_structure<kvm_clock_data> = true;
template <>
inline constexpr bool is_kernel_structure<kvm_irqchip> = true;
template <>
inline constexpr bool is_kernel_structure<kvm_pit_state2> = true;

}  // namespace coded

/// Without the bytes that KVM reserves.
template <typename Coder>
void fields(Coder& coder, coded::As<kvm_cpuid_entry2> auto& entry) {
    coder(entry.function, entry.index, entry.flags, entry.eax, entry.ebx, entry.ecx, entry.edx);
}

template <typename Coder>
void fields(Coder& coder, coded::As<kvm_msr_entry> auto& entry) {
    coder(entry.index, entry.data);
}

/// Its CPUID is coded apart: that of all vCPUs together is hardly longer than one's.
template <typename Coder>
void fields(Coder& coder, coded::As<VcpuState> auto& state) {
    auto& [cpuid, mp_state, regs, sregs, xsave, xcrs, debugregs, lapic, lapic_wall_ns, tsc_offset, msrs,
           events] = state;
    (void)cpuid;
    coder(mp_state, regs, sregs, xsave, xcrs, debugregs, lapic, lapic_wall_ns, tsc_offset, msrs, events);
}

template <typename Coder>
void fields(Coder& coder, coded::As<PitState> auto& state) {
    auto& [kvm, ages_ns, wall_ns] = state;
    coder(kvm, ages_ns, wall_ns);
}

template <typename Coder>
void fields(Coder& coder, coded::As<KernelChipsState> auto& state) {
    auto& [chips, pit] = state;
    coder(chips, pit);
}

template <typename Coder>
void fields(Coder& coder, coded::As<VmState> auto& state) {
    auto& [clock, wall_ns, chips] = state;
    coder(clock, wall_ns, chips);
}

}  // namespace mayfly
