// SPDX-License-Identifier: Apache-2.0
// VmState: KVM's state of a VM without its memory and its vCPUs: its clock, and the interrupt controllers and
// the timer in the kernel. Not the interrupt routes: their owners make them again.
//
// Thread: any, while no vCPU runs.
// Spec: Linux Documentation/virt/kvm/api.rst §4.26 "KVM_GET_IRQCHIP", §4.29 "KVM_GET_CLOCK".
#pragma once

#include <array>
#include <optional>

#include <linux/kvm.h>

#include "vmm/kvm/kvm_vm.h"
#include "vmm/kvm/state/pit_timer.h"

namespace mayfly {

/// Of a full irqchip.
struct KernelChipsState {
    std::array<kvm_irqchip, KVM_NR_IRQCHIPS> chips{};  ///< by their KVM_IRQCHIP_ number
    PitState pit;
};

struct VmState {
    kvm_clock_data clock{};
    i64 wall_ns = 0;  ///< the time of reading, since the epoch
    std::optional<KernelChipsState> chips;
};

/// After the vCPUs; with `pit`, a full irqchip. Errors: Os.
Result<VmState> save_vm(const KvmVm& vm, const std::optional<PitState>& pit);
/// After the vCPUs, before any of them runs. kvmclock has advanced meanwhile, like the TSC. Errors: Os.
Result<void> restore_vm(KvmVm& vm, const VmState& state);

}  // namespace mayfly
