// SPDX-License-Identifier: Apache-2.0
#include "vmm/doctor/probe.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <thread>

#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>

#include <fmt/format.h>

#include "firmware/layout.h"
#include "vmm/doctor/probe_guest.h"
#include "vmm/error/verify.h"
#include "vmm/kvm/stats.h"
#include "vmm/machine/boot_state.h"
#include "vmm/machine/exit_dispatch.h"
#include "vmm/machine/stop_control.h"
#include "vmm/memory/guest_ram.h"
#include "vmm/os/clock.h"

namespace mayfly {

namespace {

using std::chrono::milliseconds;

constexpr u32 kInterrupts = 64;
constexpr u32 kMsiCalls = 65;
/// Long, for on a busy host the guest may not run for a while; the limit of the whole probe holds as well.
constexpr u64 kInterruptPatienceNs = 2'000'000'000;
constexpr u64 kInterruptPauseNs = 20'000;  // lets the guest return from its handler
constexpr milliseconds kKickInterval{5};
constexpr milliseconds kKickPatience{5000};

constexpr u32 kGsi = 24;  // above every IOAPIC pin
constexpr u32 kMsiAddress =
    0xfee0'0000;  // physical destination 0; Intel SDM Vol. 3A §10.11.1 "Message Address Register"
constexpr Gpa kIrqfdCount{MAYFLY_PROBE_IRQFD_COUNT};
constexpr Gpa kMsiCount{MAYFLY_PROBE_MSI_COUNT};
constexpr Gpa kStop{MAYFLY_PROBE_STOP};

// Linux Documentation/virt/kvm/x86/msr.rst, MSR_KVM_SYSTEM_TIME_NEW and struct pvclock_vcpu_time_info.
constexpr u32 kMsrSystemTime = 0x4b56'4d01;
constexpr u64 kSystemTimeEnable = 1;
constexpr u64 kClockFlagsOffset = 29;
constexpr u8 kClockTscStable = 1;

template <typename T, std::size_t kCount>
T median(std::array<T, kCount> values) {
    std::nth_element(values.begin(), values.begin() + kCount / 2, values.end());
    return values[kCount / 2];
}

enum class Stage : u8 {
    Measuring,   ///< the vCPU thread works through the parts by itself
    Delivering,  ///< the guest is busy; the main thread sends interrupts
    Ended,
};

/// The machine and all that both threads share. On the heap: outlives a vCPU thread that cannot be stopped.
struct Probe {
    Probe(GuestRam guest_ram, KvmVm machine, KvmVcpu processor, EventFd irq, EventFd bell)
        : ram(std::move(guest_ram)),
          vm(std::move(machine)),
          vcpu(std::move(processor)),
          irqfd(std::move(irq)),
          doorbell(std::move(bell)) {
        // Now, for while KVM_RUN goes on every other ioctl on the vCPU waits for its end.
        Result<UniqueFd> fd = vcpu.stats_fd();
        if (!fd) return;
        if (Result<KvmStats> opened = KvmStats::open(std::move(*fd))) stats = std::move(*opened);
    }

    [[nodiscard]] std::optional<u64> injections() const {
        return stats ? stats->read("irq_injections") : std::nullopt;
    }

    // In this order: RAM is freed last.
    GuestRam ram;
    KvmVm vm;
    KvmVcpu vcpu;
    EventFd irqfd;
    EventFd doorbell;
    std::optional<KvmStats> stats;  // empty: KVM keeps none
    std::atomic<Stage> stage = Stage::Measuring;
    std::atomic<bool> gives_up = false;
    ProbeFacts facts;  // the vCPU thread's until Stage::Ended, then the main thread's

    [[nodiscard]] u32 word(Gpa at) const { return ram.memory().load_acquire<u32>(at).value_or(0); }
};

/// One time span from the guest's TSC ticks: the median round, over the things done in a round.
std::optional<double> ticks_to_ns(const Probe& probe, u64 first_word, u32 things) {
    if (probe.facts.tsc_khz == 0) return std::nullopt;
    std::array<u32, MAYFLY_PROBE_ROUNDS> rounds{};
    for (std::size_t i = 0; i < rounds.size(); ++i) rounds[i] = probe.word(Gpa{first_word + 4 * i});
    return static_cast<double>(median(rounds)) * 1e6 / probe.facts.tsc_khz / things;
}

/// Runs the guest to its next port write. Errors: Host, when it ended otherwise.
Result<u8> run_to_port(Probe& probe) {
    for (;;) {
        const RunStatus status = TRY(probe.vcpu.run());
        if (probe.gives_up) return fail(Error::host("the probe guest ran out of time"));
        if (status == RunStatus::Interrupted) continue;
        const kvm_run& run = probe.vcpu.run_page();
        if (run.exit_reason == KVM_EXIT_IO && run.io.direction == KVM_EXIT_IO_OUT)
            return static_cast<u8>(run.io.port);
        return fail(
            Error::host(fmt::format("the probe guest ended with {}", exit_reason_name(run.exit_reason))));
    }
}

Result<void> run_to_step(Probe& probe) {
    const u8 port = TRY(run_to_port(probe));
    if (port == MAYFLY_PROBE_PORT_STEP) return {};
    return fail(Error::host(fmt::format("the probe guest wrote to port {:#x} out of turn", port)));
}

Result<void> measure_user_exits(Probe& probe) {
    std::array<u64, MAYFLY_PROBE_TRIPS> trips_ns{};
    u64 before = monotonic_ns();
    for (u64& trip_ns : trips_ns) {
        TRY_VOID(run_to_port(probe));
        const u64 now = monotonic_ns();
        trip_ns = now - before;
        before = now;
    }
    TRY_VOID(run_to_step(probe));
    probe.facts.user_exit_ns = median(trips_ns);
    return {};
}

/// The vCPU does not run meanwhile; all calls but the first find the interrupt pending already.
Result<void> measure_signal_msi(Probe& probe) {
    std::array<u64, kMsiCalls> calls_ns{};
    for (u64& call_ns : calls_ns) {
        const u64 before = monotonic_ns();
        TRY_VOID(probe.vm.signal_msi(kMsiAddress, MAYFLY_PROBE_VECTOR_MSI));
        call_ns = monotonic_ns() - before;
    }
    probe.facts.signal_msi_ns = median(calls_ns);
    return {};
}

Result<void> run_parts(Probe& probe) {
    const u64 before = monotonic_ns();
    TRY_VOID(run_to_step(probe));
    probe.facts.first_exit_ns = monotonic_ns() - before;
    TRY_VOID(run_to_step(probe));
    probe.facts.ring0_instruction_ns =
        ticks_to_ns(probe, MAYFLY_PROBE_SPEED_TICKS, MAYFLY_PROBE_INSTRUCTIONS);
    TRY_VOID(measure_user_exits(probe));
    TRY_VOID(run_to_step(probe));
    if (const auto doorbell_ns = ticks_to_ns(probe, MAYFLY_PROBE_DOORBELL_TICKS, MAYFLY_PROBE_DOORBELLS))
        probe.facts.doorbell_ns = static_cast<u64>(*doorbell_ns);
    TRY_VOID(measure_signal_msi(probe));
    const std::optional<u8> clock_flags =
        probe.ram.memory().load_acquire<u8>(Gpa{MAYFLY_PROBE_CLOCK + kClockFlagsOffset});
    // A clock that KVM never wrote has no multiplier; then nothing is known.
    if (probe.word(Gpa{MAYFLY_PROBE_CLOCK + 24}) != 0 && clock_flags)
        probe.facts.kvmclock_stable = (*clock_flags & kClockTscStable) != 0;
    probe.stage = Stage::Delivering;
    return run_to_step(probe);
}

void* run_guest(void* argument) {
    Probe& probe = *static_cast<Probe*>(argument);
    const Result<void> done = run_parts(probe);
    if (!done) probe.facts.failure = done.error().message();
    probe.stage = Stage::Ended;
    return nullptr;
}

/// Interrupts for a guest that is busy on another thread, one at a time. What the main thread finds out.
struct Delivery {
    u32 sent = 0;
    u32 received = 0;
    std::optional<u64> injections;
    std::optional<u64> latency_ns;
};

/// Waits for a counter of the guest to reach `count`. False when it takes too long.
bool wait_for_count(const Probe& probe, Gpa counter, u32 count, u64 deadline_ns) {
    while (probe.word(counter) < count) {
        if (probe.stage == Stage::Ended || monotonic_ns() > deadline_ns) return false;
        // With one CPU the guest runs only when we let it.
        std::this_thread::yield();
    }
    return true;
}

Delivery deliver(Probe& probe, u64 deadline_ns) {
    Delivery delivery;
    std::array<u64, kInterrupts> latencies_ns{};
    // The MSIs of the measurement before this one must not be counted here.
    if (!wait_for_count(probe, kMsiCount, 1, deadline_ns)) return delivery;
    const std::optional<u64> before = probe.injections();
    while (delivery.sent < kInterrupts) {
        const u64 pause_end = monotonic_ns() + kInterruptPauseNs;
        while (monotonic_ns() < pause_end) std::this_thread::yield();
        const u64 sent_at = monotonic_ns();
        probe.irqfd.signal();
        const u32 expected = ++delivery.sent;
        if (!wait_for_count(probe, kIrqfdCount, expected,
                            std::min(deadline_ns, sent_at + kInterruptPatienceNs)))
            break;
        latencies_ns[expected - 1] = monotonic_ns() - sent_at;
    }
    delivery.received = probe.word(kIrqfdCount);
    const std::optional<u64> after = probe.injections();
    if (before && after) delivery.injections = *after - *before;
    if (delivery.received == kInterrupts) delivery.latency_ns = median(latencies_ns);
    return delivery;
}

Result<void> set_up_vcpu(const KvmSystem& kvm, KvmVcpu& vcpu) {
    const HostKind host = detect_host_kind();
    CpuidTable cpuid = TRY(kvm.supported_cpuid());
    make_guest_cpuid(cpuid,
                     {.tsc_khz = vcpu.tsc_khz(),
                      .has_tsc_deadline = kvm.check(KVM_CAP_TSC_DEADLINE_TIMER) != 0,
                      .has_hypercalls = host.has_hypercalls,
                      .has_hardware_ipi = host.has_hardware_ipi,
                      .hide_x2apic = host.hide_x2apic},
                     0);
    TRY_VOID(vcpu.set_cpuid(cpuid));
    // Refused where KVM has no clock for guests; the clock page then stays empty.
    const std::array clock{kvm_msr_entry{
        .index = kMsrSystemTime, .reserved = 0, .data = MAYFLY_PROBE_CLOCK | kSystemTimeEnable}};
    TRY_VOID(vcpu.set_msrs(clock));
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

Result<std::unique_ptr<Probe>> make_probe(const KvmSystem& kvm, ProbeFacts& facts) {
    const u64 before = monotonic_ns();
    KvmVm vm = TRY(kvm.create_vm());
    facts.create_vm_ns = monotonic_ns() - before;
    GuestRam ram = TRY(GuestRam::create({.size_bytes = MAYFLY_PROBE_RAM_BYTES, .hole_base = layout::kHole}));
    const std::span<const std::byte> image(mayfly_probe_begin, mayfly_probe_end);
    VERIFY(ram.memory().write(Gpa{MAYFLY_PROBE_LOAD}, image) == MemStatus::Ok);
    if (detect_flavour() == KvmFlavour::Vmx)
        TRY_VOID(vm.set_tss_address(layout::kKvmTss, layout::kKvmIdentityMap));
    TRY_VOID(vm.set_memory(0, ram.memory().regions()[0]));
    TRY_VOID(vm.create_split_irqchip(kGsi));
    KvmVcpu vcpu = TRY(vm.create_vcpu(0));
    facts.tsc_khz = vcpu.tsc_khz();
    TRY_VOID(set_up_vcpu(kvm, vcpu));
    EventFd irqfd = TRY(EventFd::create());
    EventFd doorbell = TRY(EventFd::create());
    kvm_irq_routing_entry route{};
    route.gsi = kGsi;
    route.type = KVM_IRQ_ROUTING_MSI;
    route.u.msi.address_lo = kMsiAddress;
    route.u.msi.data = MAYFLY_PROBE_VECTOR_IRQFD;
    TRY_VOID(vm.set_routes(std::span(&route, 1)));
    TRY_VOID(vm.attach_irqfd(irqfd, kGsi));
    TRY_VOID(vm.attach_io_event(
        doorbell, {.address = MAYFLY_PROBE_PORT_DOORBELL, .is_port = true, .size_bytes = 0, .match = {}}));
    return std::make_unique<Probe>(std::move(ram), std::move(vm), std::move(vcpu), std::move(irqfd),
                                   std::move(doorbell));
}

bool wait_for_end(const Probe& probe, u64 deadline_ns) {
    while (probe.stage != Stage::Ended) {
        if (monotonic_ns() > deadline_ns) return false;
        std::this_thread::sleep_for(milliseconds(1));
    }
    return true;
}

/// Makes the vCPU thread leave KVM_RUN. False when KVM does not let it.
bool stop_guest(Probe& probe, pthread_t thread) {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(kick_signal(), &action, nullptr);
    probe.gives_up = true;
    const u64 deadline_ns =
        monotonic_ns() + static_cast<u64>(std::chrono::nanoseconds(kKickPatience).count());
    while (probe.stage != Stage::Ended) {
        if (monotonic_ns() > deadline_ns) return false;
        __atomic_store_n(&probe.vcpu.run_page().immediate_exit, u8{1}, __ATOMIC_RELEASE);
        ::pthread_kill(thread, kick_signal());
        std::this_thread::sleep_for(kKickInterval);
    }
    return true;
}

}  // namespace

ProbeFacts run_probe(const KvmSystem& kvm, milliseconds limit) {
    const u64 deadline_ns = monotonic_ns() + static_cast<u64>(std::chrono::nanoseconds(limit).count());
    ProbeFacts facts;
    Result<std::unique_ptr<Probe>> made = make_probe(kvm, facts);
    if (!made) {
        facts.failure = made.error().message();
        return facts;
    }
    std::unique_ptr<Probe> probe = std::move(*made);
    probe->facts = facts;
    // Not std::thread, which throws where the host allows no more threads.
    pthread_t thread{};
    if (const int error = ::pthread_create(&thread, nullptr, run_guest, probe.get()); error != 0) {
        facts.failure = Error::os("pthread_create", error).message();
        return facts;
    }
    while (probe->stage == Stage::Measuring && monotonic_ns() < deadline_ns)
        std::this_thread::sleep_for(milliseconds(1));
    Delivery delivery;
    if (probe->stage == Stage::Delivering) {
        delivery = deliver(*probe, deadline_ns);
        // Said before the guest can end by itself: a probe out of time is one, whichever thread is quicker.
        if (monotonic_ns() >= deadline_ns) probe->gives_up = true;
        (void)probe->ram.memory().store_release<u32>(kStop, 1);
    }
    if (!wait_for_end(*probe, deadline_ns) && !stop_guest(*probe, thread)) {
        // The process is about to end and takes both along; waiting for this thread could take for ever.
        ::pthread_detach(thread);
        (void)probe.release();
        facts.failure = "KVM_RUN did not return when it was told to";
        return facts;
    }
    ::pthread_join(thread, nullptr);
    facts = probe->facts;
    facts.interrupts_sent = delivery.sent;
    facts.interrupts_received = delivery.received;
    facts.injections = delivery.injections;
    facts.interrupt_ns = delivery.latency_ns;
    return facts;
}

}  // namespace mayfly
