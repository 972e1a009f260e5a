// SPDX-License-Identifier: Apache-2.0
#include "vmm/doctor/probe/probe_machine.h"

#include <array>

#include <linux/kvm.h>

#include "firmware/layout.h"
#include "vmm/error/verify.h"
#include "vmm/kvm/host_kind.h"
#include "vmm/machine/boot/boot_state.h"
#include "vmm/os/clock.h"

namespace mayfly {

namespace {

constexpr u32 kGsi = 24;  // above every IOAPIC pin

// Linux Documentation/virt/kvm/x86/msr.rst, MSR_KVM_SYSTEM_TIME_NEW.
constexpr u32 kMsrSystemTime = 0x4b56'4d01;
constexpr u64 kSystemTimeEnable = 1;

Result<void> set_up_vcpu(const KvmSystem& kvm, ProbeMachine& probe) {
    KvmVcpu& vcpu = probe.vcpu;
    const HostKind host = detect_host_kind();
    CpuidTable cpuid = TRY(kvm.supported_cpuid());
    make_guest_cpuid(cpuid,
                     {.tsc_khz = vcpu.tsc_khz(),
                      .has_tsc_deadline = probe.has_deadline_timer,
                      .has_hypercalls = host.has_hypercalls,
                      .has_hardware_ipi = host.has_hardware_ipi,
                      .hide_x2apic = host.hide_x2apic},
                     0);
    TRY_VOID(vcpu.set_cpuid(cpuid));
    // Refused where KVM has no clock for guests; the clock page then stays empty.
    const std::array clock{kvm_msr_entry{
        .index = kMsrSystemTime, .reserved = 0, .data = MAYFLY_PROBE_CLOCK | kSystemTimeEnable}};
    (void)vcpu.set_msrs(clock);
    const EntryState entry{
        .mode = CpuMode::Protected32, .rip = MAYFLY_PROBE_LOAD, .rsp = MAYFLY_PROBE_STACK_TOP};
    kvm_sregs sregs = TRY(vcpu.sregs());
    apply_entry_mode(entry, sregs);
    sregs.gdt.base = MAYFLY_PROBE_LOAD + static_cast<u64>(mayfly_probe_gdt - mayfly_probe_begin);
    sregs.gdt.limit = MAYFLY_PROBE_GDT_BYTES - 1;
    sregs.idt.base = MAYFLY_PROBE_LOAD + static_cast<u64>(mayfly_probe_idt - mayfly_probe_begin);
    sregs.idt.limit = MAYFLY_PROBE_IDT_BYTES - 1;
    TRY_VOID(vcpu.set_sregs(sregs));
    return vcpu.set_regs(entry_regs(entry));
}

Result<void> attach_irqfd(ProbeMachine& probe) {
    EventFd event = TRY(EventFd::create());
    kvm_irq_routing_entry route{};
    route.gsi = kGsi;
    route.type = KVM_IRQ_ROUTING_MSI;
    route.u.msi.address_lo = kProbeMsiAddress;
    route.u.msi.data = MAYFLY_PROBE_VECTOR_IRQFD;
    TRY_VOID(probe.vm.set_routes(std::span(&route, 1)));
    TRY_VOID(probe.vm.attach_irqfd(event, kGsi));
    probe.irqfd = std::move(event);
    return {};
}

Result<void> attach_doorbell(ProbeMachine& probe) {
    EventFd event = TRY(EventFd::create());
    TRY_VOID(probe.vm.attach_io_event(
        event, {.address = MAYFLY_PROBE_PORT_DOORBELL, .is_port = true, .size_bytes = 0, .match = {}}));
    probe.doorbell = std::move(event);
    return {};
}

/// Guests run without either.
void attach_events(ProbeMachine& probe) {
    for (const auto attach : {attach_irqfd, attach_doorbell}) {
        const Result<void> done = attach(probe);
        if (!done) probe.facts.unfinished = done.error().message();
    }
}

}  // namespace

ProbeMachine::ProbeMachine(GuestRam guest_ram, KvmVm machine, KvmVcpu processor)
    : ram(std::move(guest_ram)), vm(std::move(machine)), vcpu(std::move(processor)) {
    // Now, for while KVM_RUN goes on every other ioctl on the vCPU waits for its end.
    Result<UniqueFd> fd = vcpu.stats_fd();
    if (!fd) return;
    if (Result<KvmStats> opened = KvmStats::open(std::move(*fd))) stats = std::move(*opened);
}

std::optional<u64> ProbeMachine::injections() const {
    return stats ? stats->read("irq_injections") : std::nullopt;
}

Result<std::unique_ptr<ProbeMachine>> make_probe_machine(const KvmSystem& kvm, GuestRam ram, u32 tsc_khz) {
    const u64 before = monotonic_ns();
    KvmVm vm = TRY(kvm.create_vm());
    const u64 create_vm_ns = monotonic_ns() - before;
    const std::span<const std::byte> image(mayfly_probe_begin, mayfly_probe_end);
    VERIFY(ram.memory().write(Gpa{MAYFLY_PROBE_LOAD}, image) == MemStatus::Ok);
    if (wants_tss_address(detect_flavour()))
        TRY_VOID(vm.set_tss_address(layout::kKvmTss, layout::kKvmIdentityMap));
    TRY_VOID(vm.set_memory(0, ram.memory().regions()[0]));
    TRY_VOID(vm.create_split_irqchip(kGsi));
    if (tsc_khz != 0) TRY_VOID(vm.set_tsc_khz(tsc_khz));
    KvmVcpu vcpu = TRY(vm.create_vcpu(0));
    auto probe = std::make_unique<ProbeMachine>(std::move(ram), std::move(vm), std::move(vcpu));
    probe->has_deadline_timer = kvm.check(KVM_CAP_TSC_DEADLINE_TIMER) != 0;
    TRY_VOID(set_up_vcpu(kvm, *probe));
    probe->facts.create_vm_ns = create_vm_ns;
    probe->facts.tsc_khz = probe->vcpu.tsc_khz();
    attach_events(*probe);
    return probe;
}

}  // namespace mayfly
