// SPDX-License-Identifier: Apache-2.0
// VcpuState: all of KVM's state of a paused vCPU, how to save it and how to restore it into another.
//
// Both orders lose nothing. Saving: pending INIT or SIPI first, and events last, because reading other parts
// may cause events. Restoring: CPUID decides the valid values of the others, control registers the layout of
// the LAPIC's registers, the LAPIC's mode the meaning of a deadline, and the TSC its time.
// Thread: any, while the vCPU is paused or has not run.
// Spec: Linux Documentation/virt/kvm/api.rst, "API description", vcpu ioctls;
// Documentation/virt/kvm/devices/vcpu.rst §4 "GROUP: KVM_VCPU_TSC_CTRL".
#pragma once

#include <optional>
#include <vector>

#include <linux/kvm.h>

#include "vmm/kvm/host_kind.h"
#include "vmm/kvm/kvm_system.h"

namespace mayfly {

struct VcpuState {
    std::vector<kvm_cpuid_entry2> cpuid;
    kvm_mp_state mp_state{};
    kvm_regs regs{};
    kvm_sregs2 sregs{};
    std::vector<std::byte> xsave;
    kvm_xcrs xcrs{};
    kvm_debugregs debugregs{};
    std::optional<kvm_lapic_state> lapic;  ///< of one in the kernel
    i64 lapic_wall_ns = 0;                 ///< the time of reading, since the epoch
    u64 tsc_offset = 0;                    ///< to the host's TSC; the TSC is not among the MSRs
    std::vector<kvm_msr_entry> msrs;
    kvm_vcpu_events events{};
};

/// What to ask KVM for.
struct VcpuSaving {
    std::vector<u32> msrs;
    std::size_t xsave_bytes = 0;
    bool has_kernel_apic = false;
    bool may_hide_expiry = false;  ///< for settled_lapic()
};

/// Also prepares `vm`, so that pending events are shown with all their fields. Errors: Host where KVM is too
/// old (before Linux 5.16); Os.
Result<VcpuSaving> prepare_saving(const KvmSystem& system, KvmVm& vm, bool has_kernel_apic,
                                  KvmFlavour flavour);
/// Of a vCPU whose last exit is completed. Errors: Os.
Result<VcpuState> save_vcpu(const KvmVcpu& vcpu, const VcpuSaving& saving);
/// Into a vCPU that has not run, of a VM that prepare_restoring() prepared, with its irqchip and its memory.
/// `xsave_bytes` is prepare_restoring()'s. Errors: Os; Host for an MSR that KVM refuses; Invalid.
Result<void> restore_vcpu(KvmVcpu& vcpu, const VcpuState& state, std::size_t xsave_bytes);
/// Before its vCPUs are restored. \returns the size of the XSAVE state that KVM reads.
std::size_t prepare_restoring(KvmVm& vm);

}  // namespace mayfly
