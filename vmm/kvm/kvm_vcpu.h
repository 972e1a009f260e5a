// SPDX-License-Identifier: Apache-2.0
// KvmVcpu: one virtual CPU: its descriptor, its kvm_run page, its registers.
//
// Thread: the vCPU's own thread.
// Spec: Linux Documentation/virt/kvm/api.rst, "API description", vcpu ioctls.
#pragma once

#include <optional>
#include <span>

#include <linux/kvm.h>

#include "vmm/error/result.h"
#include "vmm/kvm/cpuid.h"
#include "vmm/memory/gpa.h"
#include "vmm/os/mapping.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

enum class RunStatus : u8 {
    Exited,       ///< kvm_run says why
    Interrupted,  ///< a signal, immediate_exit, or an AP that still waits for its SIPI
};

/// Whether KVM_RUN returns as soon as its access in flight is completed. Any thread; async-signal-safe.
inline void set_immediate_exit(kvm_run& run, bool is_wanted) {
    // SAFETY: the kernel reads this byte at KVM_RUN's entry; a single store cannot tear.
    __atomic_store_n(&run.immediate_exit, static_cast<u8>(is_wanted), __ATOMIC_SEQ_CST);
}

class KvmVcpu {
  public:
    KvmVcpu(u32 id, UniqueFd fd, Mapping run) : id_(id), fd_(std::move(fd)), run_(std::move(run)) {}

    [[nodiscard]] u32 id() const { return id_; }
    [[nodiscard]] const UniqueFd& fd() const { return fd_; }

    /// KVM_RUN. Errors: Os, when the host could not go on (guest memory that is not available: EFAULT).
    Result<RunStatus> run();

    /// SAFETY: the mapping is at least a page and the kernel keeps a kvm_run at its start.
    [[nodiscard]] kvm_run& run_page() const { return *reinterpret_cast<kvm_run*>(run_.data()); }
    [[nodiscard]] std::span<std::byte> run_bytes() const { return run_.bytes(); }

    /// The VM's ring of collected port writes, shared by all its vCPUs. Null where KVM has none.
    [[nodiscard]] kvm_coalesced_mmio_ring* coalesced_ring(int page_offset) const;

    Result<void> set_cpuid(CpuidTable& table);
    [[nodiscard]] Result<kvm_regs> regs() const;
    Result<void> set_regs(const kvm_regs& regs);
    [[nodiscard]] Result<kvm_sregs> sregs() const;
    Result<void> set_sregs(const kvm_sregs& sregs);
    /// \returns how many MSRs were set: KVM stops at the first that it refuses, which is not an error here.
    Result<u32> set_msrs(std::span<const kvm_msr_entry> entries);
    /// Empty when KVM does not know or show this MSR.
    [[nodiscard]] std::optional<u64> msr(u32 index) const;
    /// KVM_INTERRUPT: queue `vector`; only without an in-kernel LAPIC, and when the window is open.
    Result<void> interrupt(u8 vector);
    /// Guest-physical address behind a linear one, in the vCPU's present mode. Empty when not mapped.
    [[nodiscard]] std::optional<Gpa> translate(u64 linear) const;
    /// TSC frequency in kHz, 0 when KVM does not know it.
    [[nodiscard]] u32 tsc_khz() const;
    [[nodiscard]] Result<UniqueFd> stats_fd() const;

  private:
    u32 id_;
    UniqueFd fd_;
    Mapping run_;
};

}  // namespace mayfly
