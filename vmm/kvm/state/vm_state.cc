// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/state/vm_state.h"

#include "vmm/kvm/ioctl.h"
#include "vmm/os/clock.h"

namespace mayfly {

Result<VmState> save_vm(const KvmVm& vm, const std::optional<PitState>& pit) {
    VmState state;
    TRY_VOID(KVM_IOCTL(vm.fd(), KVM_GET_CLOCK, &state.clock));
    state.wall_ns = wall_ns();
    if (!pit) return state;
    KernelChipsState& chips = state.chips.emplace();
    chips.pit = *pit;
    for (u32 number = 0; number < chips.chips.size(); ++number) {
        chips.chips[number].chip_id = number;
        TRY_VOID(KVM_IOCTL(vm.fd(), KVM_GET_IRQCHIP, &chips.chips[number]));
    }
    return state;
}

Result<void> restore_vm(KvmVm& vm, const VmState& state) {
    if (state.chips) {
        for (const kvm_irqchip& chip : state.chips->chips)
            TRY_VOID(KVM_IOCTL(vm.fd(), KVM_SET_IRQCHIP, &chip));
        TRY_VOID(restore_pit(vm, state.chips->pit));
    }
    kvm_clock_data clock = state.clock;
    // The other flags only describe what KVM_GET_CLOCK returned. Without this one KVM ignores the time that
    // has passed.
    clock.flags &= u32{KVM_CLOCK_REALTIME};
    if (clock.flags == 0) clock.clock += ns_since_wall(state.wall_ns);
    TRY_VOID(KVM_IOCTL(vm.fd(), KVM_SET_CLOCK, &clock));
    return {};
}

}  // namespace mayfly
