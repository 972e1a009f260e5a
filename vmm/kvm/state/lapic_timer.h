// SPDX-License-Identifier: Apache-2.0
// settled_lapic(): a LAPIC whose timer either will still fire, or has fired with its interrupt requested.
//
// KVM hides an expired timer's interrupt until the vCPU next enters the guest; and a one-shot timer that is
// restored with an expired count fires at once, even if its interrupt was delivered long ago.
// Thread: any, while the vCPU is paused; lapic_later() is values only.
// Spec: Intel SDM Vol. 3A §11.5.4 "APIC Timer"; Linux Documentation/virt/kvm/api.rst §4.57 "KVM_GET_LAPIC".
#pragma once

#include <linux/kvm.h>

#include "vmm/kvm/kvm_vcpu.h"

namespace mayfly {

/// The initial count of a one-shot timer that has fired becomes 0, the only difference that a guest sees.
/// Except where KVM `may_hide_expiry`, as with VMX, which checks its timer at guest entry: there the timer
/// may fire once more, so that it cannot get lost. Errors: Os.
Result<kvm_lapic_state> settled_lapic(const KvmVcpu& vcpu, bool may_hide_expiry);

/// Such a LAPIC after `away_ns`: a timer that counts down has less left, an expired one has its interrupt
/// requested once, and a periodic one keeps its phase. A deadline is a value of the TSC and stays.
kvm_lapic_state lapic_later(const kvm_lapic_state& lapic, u64 away_ns);

}  // namespace mayfly
