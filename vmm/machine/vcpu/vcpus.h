// SPDX-License-Identifier: Apache-2.0
// Vcpus: the vCPUs of a machine and the threads that run them.
//
// Thread: the main thread, which is the bootstrap processor's.
#pragma once

#include <vector>

#include "firmware/boot/entry_state.h"
#include "vmm/kvm/cpuid.h"
#include "vmm/kvm/kvm_vm.h"
#include "vmm/kvm/state/vcpu_state.h"
#include "vmm/machine/vcpu/vcpu_thread.h"
#include "vmm/threads/thread.h"

namespace mayfly {

class Vcpus {
  public:
    explicit Vcpus(StopControl& stop) : stop_(stop) {}
    Vcpus(const Vcpus&) = delete;
    Vcpus& operator=(const Vcpus&) = delete;
    /// Once the machine has ended: waits for the threads.
    ~Vcpus();

    /// Makes `count` of them, once the irqchip is there. Errors: KVM's, with the vCPU's number.
    Result<void> create(KvmVm& vm, u32 count);
    /// Sets each vCPU's initial state: `supported` and `facts` make its CPUID, with the vCPU's own TSC rate;
    /// the first one starts at `entry`, the others wait for SIPI. Errors: KVM's.
    Result<void> set_up(const CpuidTable& supported, CpuidFacts facts, const EntryState& entry);

    /// While they are paused. Errors: Host, Os.
    [[nodiscard]] Result<std::vector<VcpuState>> save(const KvmSystem& system, KvmVm& vm,
                                                      bool has_kernel_apic, KvmFlavour flavour) const;
    /// In place of set_up(), once memory exists. Errors: Invalid for another number of vCPUs; Host, Os.
    [[nodiscard]] Result<void> restore(KvmVm& vm, std::span<const VcpuState> states);

    /// Runs all of them until the machine ends; vCPU 0 on the calling thread, which reaches FirstRun and
    /// FirstExit in `first`. Everything referred to outlives this object; `first` outlives this call.
    void run(const VcpuWiring& wiring, const FirstRun& first);

    [[nodiscard]] std::size_t count() const { return vcpus_.size(); }
    [[nodiscard]] const KvmVcpu& operator[](std::size_t index) const { return vcpus_[index]; }
    /// After run(): returns to user space of all.
    [[nodiscard]] ExitCounts exit_counts() const;

  private:
    void start_others();
    void wait_for_others();

    StopControl& stop_;
    std::vector<KvmVcpu> vcpus_;
    std::vector<VcpuContext> contexts_;
    std::vector<Thread> others_;
};

}  // namespace mayfly
