// SPDX-License-Identifier: Apache-2.0
// Probe: runs a tiny guest to measure KVM's costs here, and whether interrupts are posted.
//
// The verdict on posted interrupts rests on KVM's counter irq_injections, which counts only what software
// injects: interrupts that reach a running guest without raising it were delivered by APICv or AVIC.
// Values that a busy host prevents from being measured are told apart from faults of KVM.
// Thread: run_probe() by the main thread; the guest runs on a second one, which has ended when it returns.
#pragma once

#include <chrono>

#include "vmm/doctor/facts/facts.h"
#include "vmm/kvm/kvm_system.h"

namespace mayfly {

struct ProbeLimits {
    /// Optional parts are left out when they have not begun by then: a busy host has other work.
    std::chrono::milliseconds fair{1000};
    /// The longest time that a running guest may take for a stretch of work. Beyond it, the guest counts as
    /// lost.
    std::chrono::milliseconds longest{10'000};
};

/// `tsc_khz`: the TSC rate to request for the guest; 0: KVM's default.
[[nodiscard]] ProbeFacts run_probe(const KvmSystem& kvm, ProbeLimits limits = {}, u32 tsc_khz = 0);

/// Whether a thread that was in `state` (of its stat file) and used so much of a CPU could have made
/// progress.
[[nodiscard]] bool had_chance(u64 elapsed_ns, u64 cpu_ns, char state);

/// The TSC rate that a kvmclock page implies.
/// Spec: Linux Documentation/virt/kvm/x86/msr.rst, struct pvclock_vcpu_time_info.
[[nodiscard]] double kvmclock_tsc_khz(u32 multiplier, int shift);

}  // namespace mayfly
