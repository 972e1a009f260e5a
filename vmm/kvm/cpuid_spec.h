// SPDX-License-Identifier: Apache-2.0
// CPUID leaves and bits by their manuals' names.
// Spec: Intel SDM Vol. 2A "CPUID-CPU Identification"; AMD APM Vol. 3 appendix E "Obtaining Processor
// Information Via the CPUID Instruction"; Linux Documentation/virt/kvm/x86/cpuid.rst "KVM CPUID bits".
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::cpuid {

constexpr u32 bit(u32 n) { return u32{1} << n; }

constexpr u32 FEATURES = 0x1;
constexpr u32 FEATURES_ECX_MONITOR = bit(3);
constexpr u32 FEATURES_ECX_X2APIC = bit(21);
constexpr u32 FEATURES_ECX_TSC_DEADLINE = bit(24);
constexpr u32 FEATURES_ECX_HYPERVISOR = bit(31);
constexpr u32 FEATURES_EDX_APIC = bit(9);
constexpr u32 FEATURES_EDX_HTT = bit(28);

constexpr u32 CACHE_PARAMETERS = 0x4;
constexpr u32 THERMAL_POWER = 0x6;
constexpr u32 THERMAL_POWER_EAX_ARAT = bit(2);
constexpr u32 TOPOLOGY = 0xb;
constexpr u32 TSC_FREQUENCY = 0x15;
constexpr u32 CPU_FREQUENCY = 0x16;
constexpr u32 TOPOLOGY_V2 = 0x1f;
constexpr u32 TOPOLOGY_TYPE_SMT = 1;
constexpr u32 TOPOLOGY_TYPE_CORE = 2;

constexpr u32 KVM_SIGNATURE = 0x4000'0000;
constexpr u32 KVM_FEATURES = 0x4000'0001;
constexpr u32 KVM_FEATURES_EAX_ASYNC_PF = bit(4);
constexpr u32 KVM_FEATURES_EAX_PV_EOI = bit(6);
constexpr u32 KVM_FEATURES_EAX_PV_UNHALT = bit(7);
constexpr u32 KVM_FEATURES_EAX_PV_TLB_FLUSH = bit(9);
constexpr u32 KVM_FEATURES_EAX_ASYNC_PF_VMEXIT = bit(10);
constexpr u32 KVM_FEATURES_EAX_PV_SEND_IPI = bit(11);
constexpr u32 KVM_FEATURES_EAX_PV_SCHED_YIELD = bit(13);
constexpr u32 KVM_FEATURES_EAX_ASYNC_PF_INT = bit(14);
constexpr u32 KVM_FEATURES_EAX_HC_MAP_GPA_RANGE = bit(16);
constexpr u32 KVM_FEATURES_EAX_MIGRATION_CONTROL = bit(17);
/// TSC and APIC bus frequency in kHz: VMware's timing leaf, which other hypervisors and kernels adopted.
constexpr u32 HYPERVISOR_TIMING = 0x4000'0010;

constexpr u32 EXT_FEATURES = 0x8000'0001;
constexpr u32 EXT_FEATURES_ECX_CMP_LEGACY = bit(1);
constexpr u32 EXT_FEATURES_ECX_TOPOEXT = bit(22);
constexpr u32 ADVANCED_POWER = 0x8000'0007;
constexpr u32 ADVANCED_POWER_EDX_INVARIANT_TSC = bit(8);
constexpr u32 SIZES = 0x8000'0008;
constexpr u32 AMD_CACHE_PROPERTIES = 0x8000'001d;
constexpr u32 AMD_TOPOLOGY = 0x8000'001e;
constexpr u32 AMD_TOPOLOGY_V2 = 0x8000'0026;

}  // namespace mayfly::cpuid
