// SPDX-License-Identifier: Apache-2.0
// PitState: the 8254 in the kernel, and how it goes on when its machine has been away.
//
// KVM begins each count anew when it is set, at the host's time of then. So it is saved with how long its
// counts have run, and what is set is what is left of them. The phase of a periodic counter is lost by that:
// its next tick comes a whole period later, and one that came due in between at once.
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
    i64 wall_ns = 0;                       ///< when that was, since the epoch
};

struct PitLater {
    kvm_pit_state2 kvm{};
    bool has_ticked = false;  ///< counter 0's interrupt came due meanwhile and is not in it
};

/// Of a full irqchip, before the vCPUs and the controllers. Errors: Os.
Result<PitState> save_pit(const KvmVm& vm);
/// When `away_ns` have gone by. The interrupt of a counter 0 that runs once, and had run down before, comes
/// again, as late as it can: a guest that uses it has set another by then.
PitLater pit_later(const PitState& state, u64 away_ns);
/// With the controllers, which get the tick that came due. Errors: Os.
Result<void> restore_pit(KvmVm& vm, const PitState& state);

}  // namespace mayfly
