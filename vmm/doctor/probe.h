// SPDX-License-Identifier: Apache-2.0
// Probe: runs a tiny guest to measure what KVM costs here, and whether interrupts are posted.
//
// The verdict on posted interrupts rests on KVM's counter irq_injections, which counts only what software
// injects: interrupts that reach a running guest without raising it were delivered by APICv or AVIC.
// Thread: run_probe() by the main thread; the guest runs on a second one, which has ended when it returns.
#pragma once

#include <chrono>

#include "vmm/doctor/facts.h"
#include "vmm/kvm/kvm_system.h"

namespace mayfly {

/// Ends within `limit` and a little; what was not measured by then stays empty and `failure` says why.
[[nodiscard]] ProbeFacts run_probe(const KvmSystem& kvm, std::chrono::milliseconds limit);

}  // namespace mayfly
