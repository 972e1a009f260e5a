// SPDX-License-Identifier: Apache-2.0
// apicv: whether a guest has made KVM switch APICv off: KVM itself does not tell a monitor.
// Thread: the main thread, after the guest has ended.
// Spec: Linux 6.12, arch/x86/kvm/lapic.c, APICV_INHIBIT_REASON_APIC_BASE_MODIFIED and _APIC_ID_MODIFIED;
// Intel SDM Vol. 3A "Local APIC Status and Location", "Local APIC ID Register".
#pragma once

#include "vmm/error/ints.h"
#include "vmm/kvm/kvm_vcpu.h"

namespace mayfly {

/// A local APIC that is enabled at another address, or has another xAPIC id than its vCPU's.
[[nodiscard]] bool keeps_apicv_off(u64 base_msr, u32 id_register, u32 vcpu_id);

/// The same of a vCPU that has stopped; false without a local APIC in KVM.
[[nodiscard]] bool keeps_apicv_off(const KvmVcpu& vcpu);

}  // namespace mayfly
