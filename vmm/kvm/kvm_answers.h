// SPDX-License-Identifier: Apache-2.0
// KvmAnswers: answers that the host's KVM gives every process alike until its module is loaded anew.
//
// Thread: values only; asking on any thread.
#pragma once

#include <memory>

#include "vmm/error/result.h"
#include "vmm/kvm/cpuid.h"
#include "vmm/kvm/host_kind.h"

namespace mayfly {

class KvmSystem;

/// Ten KiB, of which KVM's entries fill a quarter: not for the stack, where each page is one more to touch.
struct KvmAnswers {
    HostKind host;
    u32 run_bytes = 0;              ///< KVM_GET_VCPU_MMAP_SIZE
    bool has_tsc_deadline = false;  ///< KVM_CAP_TSC_DEADLINE_TIMER
    /// KVM_GET_SUPPORTED_CPUID. It depends on XCOMP permissions, which exec drops, and we ask for none.
    CpuidTable cpuid;
};

/// Errors: Os.
Result<std::unique_ptr<KvmAnswers>> ask(const KvmSystem& kvm);

/// Whether a guest would see the same values. Fields that identify the asked CPU, such as its APIC id, are
/// ignored: guests do not see them.
[[nodiscard]] bool mean_the_same(const KvmAnswers& one, const KvmAnswers& other);

}  // namespace mayfly
