// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/vcpu/vcpu_thread.h"

#include <fmt/format.h>

#include "vmm/machine/vcpu/crash_report.h"

namespace mayfly {

namespace {

void crash(VcpuContext& context, RunOutcome outcome) {
    context.wiring.stop.end(
        {EndKind::Crash, 0,
         crash_report(outcome, context.vcpu, context.wiring.memory, context.wiring.flavour)});
}

/// A kick.
void take_kick(VcpuContext& context, std::size_t index) {
    RunControl& control = context.wiring.stop.vcpus();
    control.take_kick(index);
    context.wiring.console.serve(context.vcpu);
    control.stay_while_paused(index);
}

void wait_for_interrupt(VcpuContext& context, std::size_t index) {
    UserIrqchip& irqchip = *context.wiring.user_irqchip;
    irqchip.set_halted(true);
    while (!irqchip.wait_for_interrupt()) take_kick(context, index);
    irqchip.set_halted(false);
}

/// HLT reaches us only without an in-kernel LAPIC.
void halt(VcpuContext& context, std::size_t index) {
    if (context.wiring.user_irqchip != nullptr && context.vcpu.run_page().if_flag != 0)
        return wait_for_interrupt(context, index);
    context.wiring.stop.end(
        {EndKind::Crash, 0,
         fmt::format("the guest halted with interrupts off: nothing can wake vCPU {}", context.vcpu.id())});
}

void act(VcpuContext& context, std::size_t index, RunOutcome outcome) {
    switch (outcome) {
        case RunOutcome::Continue:
        case RunOutcome::WindowOpen: break;
        case RunOutcome::Halted: halt(context, index); break;
        case RunOutcome::PowerOff: context.wiring.stop.end({EndKind::PowerOff, 0, {}}); break;
        case RunOutcome::Reset: context.wiring.stop.end({EndKind::Reset, 0, {}}); break;
        case RunOutcome::Panic: context.wiring.stop.end({EndKind::Panic, 0, {}}); break;
        case RunOutcome::EmulationFailure:
        case RunOutcome::TripleFault:
        case RunOutcome::Fatal: crash(context, outcome); break;
    }
}

constexpr std::string_view kPageLost =
    "a page of guest memory is not available: the host is out of memory, or a mapped file shrank";

void end_for_host(VcpuContext& context, const Error& error) {
    std::string line = fmt::format("vCPU {}: {}", context.vcpu.id(), error.message());
    if (error.os_errno() == EFAULT) line += fmt::format(" ({})", kPageLost);
    context.wiring.stop.end({EndKind::HostError, 0, std::move(line)});
}

/// KVM's emulator reports RAM whose host page it cannot reach as MMIO; the guest must not read ones there.
bool has_lost_page(const VcpuContext& context) {
    const kvm_run& run = context.vcpu.run_page();
    if (run.exit_reason != KVM_EXIT_MMIO || !context.wiring.memory.contains(Gpa{run.mmio.phys_addr}, 1))
        return false;
    return context.wiring.buses.mmio.name_at(run.mmio.phys_addr).empty();
}

void handle_exit(VcpuContext& context, std::size_t index) {
    if (has_lost_page(context))
        return context.wiring.stop.end({EndKind::HostError, 0,
                                        fmt::format("vCPU {}: at {:#x}: {}", context.vcpu.id(),
                                                    u64{context.vcpu.run_page().mmio.phys_addr}, kPageLost)});
    context.wiring.console.before_exit(context.vcpu);
    const bool had_batch =
        context.wiring.test_device != nullptr && context.wiring.test_device->begin_exit(context.vcpu);
    const RunOutcome outcome = dispatch_exit(context.vcpu.run_bytes(), context.wiring.buses, context.counts);
    if (outcome != RunOutcome::Continue) act(context, index, outcome);
    if (had_batch) context.wiring.test_device->end_exit();
    context.wiring.console.after_exit();
}

}  // namespace

void run_vcpu(VcpuContext& context, std::size_t index) {
    RunControl& control = context.wiring.stop.vcpus();
    control.enter(index);
    bool is_first = context.first_run != nullptr;
    if (is_first) context.first_run->timeline.reach(Phase::FirstRun);
    // As before the restore.
    if (context.wiring.user_irqchip != nullptr && context.wiring.user_irqchip->is_halted())
        wait_for_interrupt(context, index);
    while (!context.wiring.stop.is_requested()) {
        if (context.wiring.user_irqchip != nullptr) {
            const Result<void> ready = context.wiring.user_irqchip->before_run(context.vcpu);
            if (!ready) {
                end_for_host(context, ready.error());
                break;
            }
        }
        const Result<RunStatus> status = context.vcpu.run();
        if (is_first) {
            context.first_run->timeline.reach(Phase::FirstExit);
            context.first_run->after_exit();
            is_first = false;
        }
        if (!status) {
            end_for_host(context, status.error());
        } else if (*status == RunStatus::Exited) {
            handle_exit(context, index);
        } else {
            context.counts.count_interrupted();
            take_kick(context, index);
        }
    }
    control.leave(index);
}

}  // namespace mayfly
