// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/state/pit_timer.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "vmm/kvm/ioctl.h"
#include "vmm/os/clock.h"

namespace mayfly {

namespace {

constexpr u32 kGsiPit = 0;
/// The value that a count of 0 stands for.
constexpr u32 kLongestCount = 0x1'0000;

/// The others run down once.
bool is_periodic(const kvm_pit_channel_state& counter) { return counter.mode == 2 || counter.mode == 3; }

u64 pit_ticks(u64 ns) {
    constexpr u64 kHz = 1'193'182;
    constexpr u64 kNsInS = 1'000'000'000;
    return ns / kNsInS * kHz + ns % kNsInS * kHz / kNsInS;
}

}  // namespace

Result<PitState> save_pit(const KvmVm& vm) {
    PitState state;
    // A count that expires about now is better delivered twice than never.
    const u64 now_ns = monotonic_ns();
    state.wall_ns = wall_ns();
    TRY_VOID(KVM_IOCTL(vm.fd(), KVM_GET_PIT2, &state.kvm));
    for (std::size_t number = 0; number < PitState::kCounters; ++number) {
        // The times are of this host's clock, meaningless on another host.
        const i64 loaded_ns = std::exchange(state.kvm.channels[number].count_load_time, 0);
        state.ages_ns[number] = now_ns - std::min(static_cast<u64>(loaded_ns), now_ns);
    }
    return state;
}

PitLater pit_later(const PitState& state, u64 away_ns) {
    PitLater later{.kvm = state.kvm};
    for (std::size_t number = 0; number < PitState::kCounters; ++number) {
        kvm_pit_channel_state& counter = later.kvm.channels[number];
        const u32 count = counter.count != 0 ? counter.count : kLongestCount;
        const u64 age_ns = state.ages_ns[number];
        const u64 before = pit_ticks(age_ns);
        const u64 now = pit_ticks(age_ns + std::min(away_ns, std::numeric_limits<u64>::max() - age_ns));
        if (is_periodic(counter)) {
            if (number == 0) later.has_ticked = now / count > before / count;
        } else if (before >= count) {
            counter.count = number == 0 ? kLongestCount : 1;
        } else {
            counter.count = now < count ? count - static_cast<u32>(now) : 1;
        }
    }
    return later;
}

Result<void> restore_pit(KvmVm& vm, const PitState& state) {
    const PitLater later = pit_later(state, ns_since_wall(state.wall_ns));
    TRY_VOID(KVM_IOCTL(vm.fd(), KVM_SET_PIT2, &later.kvm));
    if (!later.has_ticked) return {};
    TRY_VOID(vm.set_irq_line(kGsiPit, true));
    return vm.set_irq_line(kGsiPit, false);
}

}  // namespace mayfly
