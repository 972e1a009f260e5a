// SPDX-License-Identifier: Apache-2.0
// KvmSystem: /dev/kvm. The features of the host's KVM, and the source of virtual machines.
//
// Thread: any; holds nothing but the descriptor.
// Spec: Linux Documentation/virt/kvm/api.rst, "API description", system ioctls.
#pragma once

#include "vmm/error/result.h"
#include "vmm/kvm/cpuid.h"
#include "vmm/kvm/kvm_vm.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

class KvmSystem {
  public:
    /// Errors: Host when /dev/kvm is missing or forbidden; each with a remedy.
    static Result<UniqueFd> open_device();
    /// Asks the device from open_device() for the facts that every user needs. Errors: Host when it speaks
    /// another API.
    static Result<KvmSystem> on(UniqueFd device);
    /// For callers that know the answer already: the size of a vCPU's kvm_run mapping.
    static KvmSystem on(UniqueFd device, std::size_t run_bytes) { return {std::move(device), run_bytes}; }
    /// open_device() and the query together. Errors: theirs.
    static Result<KvmSystem> open();

    /// KVM_CHECK_EXTENSION: 0 when the capability is unknown.
    [[nodiscard]] int check(int capability) const;

    /// Errors: Host when another hypervisor holds the CPU's virtualisation (EBUSY), else Os.
    [[nodiscard]] Result<KvmVm> create_vm() const;

    /// KVM_GET_SUPPORTED_CPUID, unfiltered. Costs 0.1-0.3 ms: call it once.
    [[nodiscard]] Result<CpuidTable> supported_cpuid() const;
    Result<void> fill(CpuidTable& table) const;

    [[nodiscard]] const UniqueFd& fd() const { return fd_; }
    [[nodiscard]] std::size_t run_bytes() const { return run_bytes_; }

  private:
    KvmSystem(UniqueFd fd, std::size_t run_bytes) : fd_(std::move(fd)), run_bytes_(run_bytes) {}

    UniqueFd fd_;
    std::size_t run_bytes_;  // size of each vCPU's kvm_run mapping
};

}  // namespace mayfly
