// SPDX-License-Identifier: Apache-2.0
// kvm_facts: KVM's facts about itself: capabilities, limits, its paravirtual CPUID.
// Thread: any.
// Spec: Linux Documentation/virt/kvm/api.rst §4.4 "KVM_CHECK_EXTENSION".
#pragma once

#include "vmm/doctor/facts/facts.h"
#include "vmm/kvm/kvm_system.h"

namespace mayfly {

[[nodiscard]] KvmFacts gather_kvm(const KvmSystem& kvm);

}  // namespace mayfly
