// SPDX-License-Identifier: Apache-2.0
// Sends interrupts to a vCPU that is busy in its guest, each by an irqfd and after the last one was handled,
// and prints what KVM counted meanwhile: "interrupts N exits N injections N". Where interrupts are posted
// neither counter moves for them; else each one takes an exit and an injection at least. Needs two CPUs.
// Status 77 without KVM, 1 where an interrupt does not come.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>

#include <linux/kvm.h>

#include "firmware/layout.h"
#include "vmm/doctor/probe/probe_machine.h"

namespace {

using namespace mayfly;

constexpr u32 kInterrupts = 1000;
/// The guest's steps until it is busy, and the one after it was told to stop.
constexpr u32 kStepsToBusy = 4;
constexpr u32 kStepsInAll = kStepsToBusy + 1;
constexpr std::chrono::seconds kPatience{20};

struct Counters {
    u64 exits = 0;
    u64 injections = 0;
};

Counters counters(const ProbeMachine& machine) {
    return {machine.stats->read("exits").value_or(0), machine.injections().value_or(0)};
}

/// The vCPU's thread.
void run_guest(ProbeMachine& machine, std::atomic<u32>& steps) {
    while (steps < kStepsInAll) {
        const Result<RunStatus> status = machine.vcpu.run();
        if (!status || *status != RunStatus::Exited) break;
        const kvm_run& run = machine.vcpu.run_page();
        if (run.exit_reason != KVM_EXIT_IO) break;
        if (run.io.port == MAYFLY_PROBE_PORT_STEP) ++steps;
    }
    steps = kStepsInAll;
}

template <typename IsOver>
bool wait_until(IsOver is_over) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!is_over()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::yield();
    }
    return true;
}

int measure(ProbeMachine& machine) {
    std::atomic<u32> steps = 0;
    std::thread guest([&] { run_guest(machine, steps); });
    bool is_good = wait_until([&] { return steps >= kStepsToBusy; }) && steps == kStepsToBusy;
    const auto handled = [&] { return machine.word(Gpa{MAYFLY_PROBE_IRQFD_COUNT}); };
    const auto send = [&](u32 number) {
        machine.irqfd->signal();
        return wait_until([&] { return handled() >= number; });
    };
    // The first one finds the guest busy, or on its way there.
    is_good = is_good && send(1);
    const Counters before = counters(machine);
    for (u32 n = 2; n <= kInterrupts + 1 && is_good; ++n) is_good = send(n);
    const Counters after = counters(machine);
    (void)machine.ram.memory().store_release<u32>(Gpa{MAYFLY_PROBE_STOP}, 1);
    guest.join();
    if (!is_good) {
        std::fprintf(stderr, "posting: %u of %u interrupts came\n", handled(), kInterrupts + 1);
        return 1;
    }
    std::printf("interrupts %u exits %llu injections %llu\n", kInterrupts,
                static_cast<unsigned long long>(after.exits - before.exits),
                static_cast<unsigned long long>(after.injections - before.injections));
    return 0;
}

}  // namespace

int main() {
    const auto kvm = KvmSystem::open();
    if (!kvm) return 77;
    auto ram = GuestRam::create({.size_bytes = MAYFLY_PROBE_RAM_BYTES, .hole_base = layout::kHole});
    if (!ram) return 1;
    auto machine = make_probe_machine(*kvm, std::move(*ram), 0);
    if (!machine || !(*machine)->irqfd || !(*machine)->stats) {
        std::fputs("posting: KVM offers no irqfd, or keeps no counters\n", stderr);
        return 1;
    }
    return measure(**machine);
}
