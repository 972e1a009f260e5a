// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/vcpu/vcpus.h"

#include <unistd.h>

#include <fmt/format.h>

#include "vmm/machine/boot/boot_state.h"

namespace mayfly {

Vcpus::~Vcpus() {
    for (Thread& other : others_) other.interrupt_and_join(kick_signal());
    stop_.vcpus().forget();
}

Result<void> Vcpus::create(KvmVm& vm, u32 count) {
    vcpus_.reserve(count);
    for (u32 id = 0; id < count; ++id) {
        Result<KvmVcpu> vcpu = vm.create_vcpu(id);
        if (!vcpu) return fail(std::move(vcpu).error().about(fmt::format("vCPU {} of {}", id, count)));
        vcpus_.push_back(std::move(*vcpu));
    }
    return {};
}

Result<void> Vcpus::set_up(const CpuidTable& supported, CpuidFacts facts, const EntryState& entry) {
    for (KvmVcpu& vcpu : vcpus_) {
        CpuidTable cpuid = supported;
        facts.tsc_khz = vcpu.tsc_khz();
        make_guest_cpuid(cpuid, facts, vcpu.id());
        TRY_VOID(vcpu.set_cpuid(cpuid));
        // A host refuses an MSR that it lacks; guests do not depend on these.
        (void)TRY(vcpu.set_msrs(entry_msrs()));
        stop_.vcpus().add_vcpu(vcpu.run_page());
        // An application processor waits for INIT and SIPI, which set every register.
        if (vcpu.id() != 0) continue;
        kvm_sregs sregs = TRY(vcpu.sregs());
        apply_entry_mode(entry, sregs);
        TRY_VOID(vcpu.set_sregs(sregs));
        TRY_VOID(vcpu.set_regs(entry_regs(entry)));
    }
    return {};
}

Result<std::vector<VcpuState>> Vcpus::save(const KvmSystem& system, KvmVm& vm, bool has_kernel_apic,
                                           KvmFlavour flavour) const {
    const VcpuSaving saving = TRY(prepare_saving(system, vm, has_kernel_apic, flavour));
    std::vector<VcpuState> states;
    for (const KvmVcpu& vcpu : vcpus_) states.push_back(TRY(save_vcpu(vcpu, saving)));
    return states;
}

Result<void> Vcpus::restore(KvmVm& vm, std::span<const VcpuState> states) {
    if (states.size() != vcpus_.size())
        return fail(Error::invalid(
            fmt::format("{} vCPUs were saved, and this machine has {}", states.size(), vcpus_.size())));
    const std::size_t xsave_bytes = prepare_restoring(vm);
    for (std::size_t i = 0; i < vcpus_.size(); ++i) {
        TRY_VOID(restore_vcpu(vcpus_[i], states[i], xsave_bytes));
        stop_.vcpus().add_vcpu(vcpus_[i].run_page());
    }
    return {};
}

void Vcpus::run(const VcpuWiring& wiring, const FirstRun& first) {
    contexts_.reserve(vcpus_.size());
    for (KvmVcpu& vcpu : vcpus_) contexts_.push_back({.vcpu = vcpu, .wiring = wiring});
    contexts_.front().first_run = &first;
    start_others();
    run_vcpu(contexts_.front(), 0);
    first.timeline.reach(Phase::Exit);
    wait_for_others();
}

void Vcpus::start_others() {
    for (std::size_t i = 1; i < contexts_.size(); ++i) {
        Result<Thread> other = Thread::start([this, i] { run_vcpu(contexts_[i], i); });
        if (!other)
            return stop_.end({EndKind::HostError, 0, fmt::format("vCPU {}: {}", i, other.error().message())});
        others_.push_back(*other);
    }
}

void Vcpus::wait_for_others() {
    // Most leave at once. A vCPU that is still in the kernel after a second or so ends with the process, or
    // is waited for when the machine is taken apart.
    constexpr u32 kWaitMax = 1 << 20;
    for (u32 wait_us = 16; wait_us < kWaitMax && stop_.vcpus().threads_inside() > 0; wait_us *= 2) {
        ::usleep(wait_us);
        stop_.vcpus().kick_all();
    }
    if (stop_.vcpus().threads_inside() > 0) return;
    for (Thread& other : others_) other.join();
    others_.clear();
}

ExitCounts Vcpus::exit_counts() const {
    ExitCounts total;
    for (const VcpuContext& context : contexts_) total.add(context.counts);
    return total;
}

}  // namespace mayfly
