// SPDX-License-Identifier: Apache-2.0
// crash_report: the one line that says why a guest cannot go on, from the content of kvm_run.
//
// Thread: the vCPU's own thread, right after the exit.
#pragma once

#include <string>

#include "vmm/kvm/host_kind.h"
#include "vmm/kvm/kvm_vcpu.h"
#include "vmm/machine/vcpu/exit_dispatch.h"
#include "vmm/memory/guest_memory.h"

namespace mayfly {

/// `outcome` is TripleFault, EmulationFailure or Fatal.
[[nodiscard]] std::string crash_report(RunOutcome outcome, const KvmVcpu& vcpu, const GuestMemory& memory,
                                       KvmFlavour flavour);

}  // namespace mayfly
