// SPDX-License-Identifier: Apache-2.0
// settled_lapic(): a LAPIC whose timer is either still to fire or has, with its interrupt among the requests.
//
// KVM keeps an expired timer's interrupt to itself until the vCPU next enters the guest, and shows it
// nowhere; and a one-shot timer that is restored with a count that has run down fires at once, whether its
// interrupt was taken long ago or not.
// Thread: any, while the vCPU is paused; lapic_later() is values only.
// Spec: Intel SDM Vol. 3A §11.5.4 "APIC Timer"; Linux Documentation/virt/kvm/api.rst §4.57 "KVM_GET_LAPIC".
#pragma once

#include <linux/kvm.h>

#include "vmm/kvm/kvm_vcpu.h"

namespace mayfly {

/// In it the initial count of a one-shot timer that has fired is 0, which is all that a guest can tell it by.
/// Not where KVM `may_hide_expiry`, as with VMX, whose timer is looked at when the guest is entered: there it
/// may fire once more, lest it never does. Errors: Os.
Result<kvm_lapic_state> settled_lapic(const KvmVcpu& vcpu, bool may_hide_expiry);

/// What such a LAPIC is when `away_ns` have gone by: a timer that counts down has less left, one whose time
/// came has its interrupt among the requests, once, and a periodic one keeps its phase. A deadline is the
/// TSC's and stays.
kvm_lapic_state lapic_later(const kvm_lapic_state& lapic, u64 away_ns);

}  // namespace mayfly
