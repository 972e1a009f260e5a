// SPDX-License-Identifier: Apache-2.0
// Probe: runs a tiny guest to measure what KVM costs here, and whether interrupts are posted.
//
// The verdict on posted interrupts rests on KVM's counter irq_injections, which counts only what software
// injects: interrupts that reach a running guest without raising it were delivered by APICv or AVIC.
// What a busy host keeps it from measuring is told apart from what KVM does wrong.
// Thread: run_probe() by the main thread; the guest runs on a second one, which has ended when it returns.
#pragma once

#include <chrono>

#include "vmm/doctor/facts/facts.h"
#include "vmm/kvm/kvm_system.h"

namespace mayfly {

struct ProbeLimits {
    /// What is left out when it was not begun by then: a busy host has more to do than to be measured.
    std::chrono::milliseconds fair{1000};
    /// What a guest that has the CPU may take for a stretch of work. Beyond it, it is done for.
    std::chrono::milliseconds longest{10'000};
};

/// `tsc_khz`: the rate that KVM is asked to give its guest; 0: the one it gives by itself.
[[nodiscard]] ProbeFacts run_probe(const KvmSystem& kvm, ProbeLimits limits = {}, u32 tsc_khz = 0);

/// Whether a thread that was in `state` (of its stat file) and used so much of a CPU could have got on.
[[nodiscard]] bool had_chance(u64 elapsed_ns, u64 cpu_ns, char state);

/// The TSC's rate by which a kvmclock page counts.
/// Spec: Linux Documentation/virt/kvm/x86/msr.rst, struct pvclock_vcpu_time_info.
[[nodiscard]] double kvmclock_tsc_khz(u32 multiplier, int shift);

}  // namespace mayfly
