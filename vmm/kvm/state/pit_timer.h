// SPDX-License-Identifier: Apache-2.0
// PitState: the 8254 in the kernel, and how it continues after its machine was away.
//
// Setting the 8254 makes KVM begin each count anew, at the host's current time. So the state includes how
// long each count has run, and only the rest of each count is set. This loses the phase of a periodic
// counter: its next tick comes a whole period later, and a tick that came due in between comes at once.
// Thread: any; pit_later() is values only.
// Spec: Intel 8254 data sheet (order 231164), modes 0 to 5; Linux Documentation/virt/kvm/api.rst §4.71
// "KVM_GET_PIT2".
#pragma once

#include <array>

#include <linux/kvm.h>

#include "vmm/kvm/kvm_vm.h"

namespace mayfly {

struct PitState {
    static constexpr std::size_t kCounters = std::size(decltype(kvm_pit_state2::channels){});
    kvm_pit_state2 kvm{};
    std::array<u64, kCounters> ages_ns{};  ///< since each counter was loaded
    i64 wall_ns = 0;                       ///< the time of saving, since the epoch
};

struct PitLater {
    kvm_pit_state2 kvm{};
    bool has_ticked = false;  ///< counter 0's interrupt came due meanwhile and is not delivered yet
};

/// Of a full irqchip, before the vCPUs and the controllers. Errors: Os.
Result<PitState> save_pit(const KvmVm& vm);
/// The state after `away_ns`. The interrupt of a one-shot counter 0 that had already run down comes again, as
/// late as possible: a guest that uses the counter has set it anew by then.
PitLater pit_later(const PitState& state, u64 away_ns);
/// With the controllers, which get a tick that came due. Errors: Os.
Result<void> restore_pit(KvmVm& vm, const PitState& state);

}  // namespace mayfly
