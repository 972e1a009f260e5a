// SPDX-License-Identifier: Apache-2.0
// KvmAnswers: what the host's KVM answers each process alike until its module is loaded anew.
//
// Thread: values only; asking is for any.
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

/// Whether a guest would be told the same. What names the CPU that was asked, such as its APIC id, it is not
/// told.
[[nodiscard]] bool mean_the_same(const KvmAnswers& one, const KvmAnswers& other);

}  // namespace mayfly
