// SPDX-License-Identifier: Apache-2.0
// What KVM would accept of a vCPU's state and mayfly does not, because a snapshot may come from a stranger.
//
// Thread: any.
#pragma once

#include <span>

#include "vmm/error/result.h"
#include "vmm/kvm/state/vcpu_state.h"

namespace mayfly {

/// Of a machine with `count` vCPUs. Errors: Invalid for another number of them, and for a local APIC that is
/// not where it was made or has another id: KVM would switch APICv off for it.
Result<void> check_vcpus(std::span<const VcpuState> vcpus, std::size_t count);

}  // namespace mayfly
