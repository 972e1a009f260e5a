// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/state/vm_state.h"

#include <algorithm>

#include "vmm/kvm/ioctl.h"
#include "vmm/os/clock.h"

namespace mayfly {

namespace {

/// Modes of the 8254 in which a counter runs down once.
bool is_one_shot(u8 mode) { return mode == 0 || mode == 1 || mode == 4 || mode == 5; }

/// KVM begins each count anew when it is set. So what is left of one that runs once is its count, and the
/// interrupt of one that has run down comes again as late as it can: a guest that uses it has set another by
/// then.
void settle(kvm_pit_state2& pit, u64 now_ns) {
    constexpr u64 kHz = 1'193'182;
    constexpr u64 kNsInS = 1'000'000'000;
    constexpr u32 kLongest = 0x1'0000;
    for (std::size_t number = 0; number < std::size(pit.channels); ++number) {
        kvm_pit_channel_state& channel = pit.channels[number];
        const auto loaded_ns = static_cast<u64>(channel.count_load_time);
        if (!is_one_shot(channel.mode) || loaded_ns > now_ns) continue;
        const u64 seconds = (now_ns - loaded_ns) / kNsInS;
        const u64 passed = seconds * kHz + (now_ns - loaded_ns) % kNsInS * kHz / kNsInS;
        if (passed < channel.count) {
            channel.count -= static_cast<u32>(passed);
        } else if (number == 0) {
            channel.count = kLongest;
        } else {
            channel.count = 1;
        }
    }
}

}  // namespace

Result<kvm_pit_state2> save_pit(const KvmVm& vm) {
    // What expires about now rather comes twice than never.
    const u64 now_ns = monotonic_ns();
    kvm_pit_state2 pit{};
    TRY_VOID(KVM_IOCTL(vm.fd(), KVM_GET_PIT2, &pit));
    settle(pit, now_ns);
    return pit;
}

Result<VmState> save_vm(const KvmVm& vm, const std::optional<kvm_pit_state2>& pit) {
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
        TRY_VOID(KVM_IOCTL(vm.fd(), KVM_SET_PIT2, &state.chips->pit));
    }
    kvm_clock_data clock = state.clock;
    // The others only say what KVM_GET_CLOCK told. Without this one KVM does not know what has passed.
    clock.flags &= u32{KVM_CLOCK_REALTIME};
    if (clock.flags == 0) clock.clock += static_cast<u64>(std::max<i64>(0, wall_ns() - state.wall_ns));
    TRY_VOID(KVM_IOCTL(vm.fd(), KVM_SET_CLOCK, &clock));
    return {};
}

}  // namespace mayfly
