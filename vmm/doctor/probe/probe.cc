// SPDX-License-Identifier: Apache-2.0
#include "vmm/doctor/probe/probe.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <thread>

#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <fmt/format.h>

#include "firmware/layout.h"
#include "vmm/doctor/facts/parse.h"
#include "vmm/doctor/probe/probe_machine.h"
#include "vmm/machine/lifecycle/stop_control.h"
#include "vmm/machine/vcpu/exit_dispatch.h"
#include "vmm/os/clock.h"
#include "vmm/os/text_file.h"

namespace mayfly {

namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using Stage = ProbeStage;

constexpr u32 kMsiCalls = 65;
constexpr u32 kTimers = 5;
/// Long, because on a busy host the guest may not run for a while.
constexpr u64 kInterruptPatienceNs = 2'000'000'000;
constexpr u64 kTimerPatienceNs = kProbeTimerPatienceMs * 1'000'000;
constexpr u64 kInterruptPauseNs = 20'000;  // lets the guest return from its handler
constexpr milliseconds kKickInterval{5};
constexpr u64 kKickPatienceNs = 5'000'000'000;

constexpr Gpa kIrqfdCount{MAYFLY_PROBE_IRQFD_COUNT};
constexpr Gpa kMsiCount{MAYFLY_PROBE_MSI_COUNT};
constexpr Gpa kTimerCount{MAYFLY_PROBE_TIMER_COUNT};
constexpr Gpa kStop{MAYFLY_PROBE_STOP};
constexpr u32 kMsrTscDeadline = 0x6e0;  // Intel SDM Vol. 3A §10.5.4.1 "TSC-Deadline Mode"

// Linux Documentation/virt/kvm/x86/msr.rst, struct pvclock_vcpu_time_info.
constexpr u64 kClockMultiplierOffset = 24;
constexpr u64 kClockShiftOffset = 28;
constexpr u64 kClockFlagsOffset = 29;
constexpr u8 kClockTscStable = 1;

constexpr std::string_view kBusy = "this host gave the guest too little of a CPU";

/// Of the first `count` values.
template <typename T, std::size_t kCount>
T median(std::array<T, kCount> values, std::size_t count = kCount) {
    const auto begin = values.begin();
    std::nth_element(begin, begin + count / 2, begin + count);
    return values[count / 2];
}

std::array<u32, MAYFLY_PROBE_ROUNDS> rounds_at(const ProbeMachine& probe, u64 first_word) {
    std::array<u32, MAYFLY_PROBE_ROUNDS> rounds{};
    for (std::size_t i = 0; i < rounds.size(); ++i) rounds[i] = probe.word(Gpa{first_word + 4 * i});
    return rounds;
}

std::optional<double> ticks_to_ns(const ProbeMachine& probe, u32 ticks, u32 things) {
    if (probe.facts.tsc_khz == 0) return std::nullopt;
    return static_cast<double>(ticks) * 1e6 / probe.facts.tsc_khz / things;
}

// --- the vCPU thread ---

/// Runs the guest to its next port write. Errors: Host, when it ended otherwise, or was stopped.
Result<u8> run_to_port(ProbeMachine& probe) {
    for (;;) {
        const RunStatus status = TRY(probe.vcpu.run());
        if (status == RunStatus::Interrupted) {
            probe.was_stopped = probe.gives_up;
            if (probe.was_stopped) return fail(Error::host("the probe guest was stopped"));
            continue;
        }
        const kvm_run& run = probe.vcpu.run_page();
        if (run.exit_reason != KVM_EXIT_IO || run.io.direction != KVM_EXIT_IO_OUT) {
            probe.has_ended_early = probe.facts.has_run;
            return fail(
                Error::host(fmt::format("the probe guest ended with {}", exit_reason_name(run.exit_reason))));
        }
        // Doorbells come here only where KVM has not taken them over.
        if (run.io.port != MAYFLY_PROBE_PORT_DOORBELL) return static_cast<u8>(run.io.port);
    }
}

Result<void> run_to_step(ProbeMachine& probe) {
    const u8 port = TRY(run_to_port(probe));
    if (port == MAYFLY_PROBE_PORT_STEP) return {};
    return fail(Error::host(fmt::format("the probe guest wrote to port {:#x} out of turn", port)));
}

Result<void> measure_user_exits(ProbeMachine& probe) {
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
Result<void> measure_signal_msi(ProbeMachine& probe) {
    std::array<u64, kMsiCalls> calls_ns{};
    for (u64& call_ns : calls_ns) {
        const u64 before = monotonic_ns();
        TRY_VOID(probe.vm.signal_msi(kProbeMsiAddress, MAYFLY_PROBE_VECTOR_MSI));
        call_ns = monotonic_ns() - before;
    }
    probe.facts.signal_msi_ns = median(calls_ns);
    return {};
}

void read_clock_page(ProbeMachine& probe) {
    const GuestMemory& memory = probe.ram.memory();
    const u32 multiplier = probe.word(Gpa{MAYFLY_PROBE_CLOCK + kClockMultiplierOffset});
    const std::optional<u8> shift = memory.load_acquire<u8>(Gpa{MAYFLY_PROBE_CLOCK + kClockShiftOffset});
    const std::optional<u8> flags = memory.load_acquire<u8>(Gpa{MAYFLY_PROBE_CLOCK + kClockFlagsOffset});
    // A clock that KVM never wrote has no multiplier; then nothing is known.
    if (multiplier == 0 || !shift || !flags) return;
    probe.facts.kvmclock_stable = (*flags & kClockTscStable) != 0;
    probe.facts.kvmclock_tsc_khz = kvmclock_tsc_khz(multiplier, static_cast<signed char>(*shift));
}

/// After being told to give up: the deadline is long over, and KVM still waits for it or the guest still
/// slept. A guest that merely got no CPU did not sleep, and KVM checks timers before signals.
bool is_timer_dead(const ProbeMachine& probe) {
    if (!probe.was_stopped || monotonic_ns() - probe.timer_armed_ns < kTimerPatienceNs) return false;
    return probe.seemed_asleep || probe.vcpu.msr(kMsrTscDeadline).value_or(0) != 0;
}

/// The guest arms a timer and halts; its next step says that the timer has fired.
Result<void> measure_timers(ProbeMachine& probe) {
    const u64 ahead_ns = static_cast<u64>(ticks_to_ns(probe, MAYFLY_PROBE_TIMER_TICKS, 1).value_or(0));
    std::array<u64, kTimers> late_ns{};
    u32 fired = 0;
    Result<void> stepped;
    // A late interrupt of an earlier part ends a halt as well.
    for (u32 tries = 0; fired < kTimers && tries < 2 * kTimers; ++tries) {
        const u64 before = monotonic_ns();
        if (fired != 0 && before > probe.deadline_ns) break;
        probe.timer_armed_ns = before;
        stepped = run_to_step(probe);
        if (!stepped) break;
        if (probe.word(kTimerCount) <= fired) continue;
        const u64 waited_ns = monotonic_ns() - before;
        late_ns[fired++] = waited_ns - std::min(waited_ns, ahead_ns);
    }
    if (fired != 0) {
        probe.facts.has_timer_fired = true;
        probe.facts.timer_late_ns = median(late_ns, fired);
    }
    if (!stepped && is_timer_dead(probe)) probe.facts.has_timer_fired = false;
    probe.timer_armed_ns = 0;
    return stepped;
}

Result<void> run_parts(ProbeMachine& probe) {
    const u64 before = monotonic_ns();
    TRY_VOID(run_to_step(probe));
    probe.facts.first_exit_ns = monotonic_ns() - before;
    probe.facts.has_run = true;
    probe.stage = Stage::Measuring;
    TRY_VOID(run_to_step(probe));
    // The shortest round: other work of the host made the others longer.
    const auto rounds = rounds_at(probe, MAYFLY_PROBE_SPEED_TICKS);
    probe.facts.ring0_instruction_ns =
        ticks_to_ns(probe, *std::ranges::min_element(rounds), MAYFLY_PROBE_INSTRUCTIONS);
    TRY_VOID(measure_user_exits(probe));
    TRY_VOID(run_to_step(probe));
    const auto bells = rounds_at(probe, MAYFLY_PROBE_DOORBELL_TICKS);
    const auto doorbell_ns = ticks_to_ns(probe, median(bells), MAYFLY_PROBE_DOORBELLS);
    if (probe.doorbell && doorbell_ns) probe.facts.doorbell_ns = static_cast<u64>(*doorbell_ns);
    TRY_VOID(measure_signal_msi(probe));
    read_clock_page(probe);
    probe.stage = Stage::Delivering;
    TRY_VOID(run_to_step(probe));
    if (!probe.has_deadline_timer) return {};
    probe.stage = Stage::Timing;
    return measure_timers(probe);
}

void* run_guest(void* argument) {
    ProbeMachine& probe = *static_cast<ProbeMachine*>(argument);
    probe.thread_id = ::gettid();
    const Result<void> done = run_parts(probe);
    // The main thread knows why it told this thread to give up.
    if (!done && !probe.was_stopped)
        (probe.has_ended_early ? probe.facts.early_end : probe.facts.failure) = done.error().message();
    probe.stage = Stage::Ended;
    return nullptr;
}

// --- the main thread ---

bool is_asleep(char state) { return state == 'S' || state == 'D'; }

char state_of(const ProbeMachine& probe) {
    return thread_state(
        read_text_file(fmt::format("/proc/self/task/{}/stat", probe.thread_id.load()).c_str(), 512));
}

/// Whether the vCPU thread could have made progress since then: it had a fair share of a CPU, or needs none.
/// A thread that other work keeps from running says nothing about KVM.
class Chance {
  public:
    explicit Chance(const ProbeMachine& probe, pthread_t thread)
        : probe_(probe), thread_(thread), began_ns_(monotonic_ns()), cpu_began_ns_(cpu_ns()) {}

    [[nodiscard]] bool was_given() const {
        return had_chance(monotonic_ns() - began_ns_, cpu_ns() - cpu_began_ns_, state_of(probe_));
    }
    [[nodiscard]] u64 elapsed_ns() const { return monotonic_ns() - began_ns_; }

  private:
    [[nodiscard]] u64 cpu_ns() const {
        clockid_t clock{};
        timespec used{};
        if (::pthread_getcpuclockid(thread_, &clock) != 0 || ::clock_gettime(clock, &used) != 0) return 0;
        return static_cast<u64>(used.tv_sec) * 1'000'000'000 + static_cast<u64>(used.tv_nsec);
    }
    const ProbeMachine& probe_;
    pthread_t thread_;
    u64 began_ns_;
    u64 cpu_began_ns_;
};

enum class Wait : u8 { Over, Starved, Stuck };

/// Waits while the guest is in `stage`: for `fair_ns` in any case, and for `long_ns` while it has the CPU.
Wait wait_while(const ProbeMachine& probe, pthread_t thread, Stage stage, u64 fair_ns, u64 long_ns) {
    const Chance chance(probe, thread);
    while (probe.stage == stage) {
        const u64 elapsed_ns = chance.elapsed_ns();
        if (elapsed_ns >= std::max(fair_ns, long_ns)) return chance.was_given() ? Wait::Stuck : Wait::Starved;
        if (elapsed_ns >= fair_ns && !chance.was_given()) return Wait::Starved;
        std::this_thread::sleep_for(milliseconds(1));
    }
    return Wait::Over;
}

/// Waits for a counter of the guest to reach `count`. False when it takes too long.
bool wait_for_count(const ProbeMachine& probe, Gpa counter, u32 count, u64 deadline_ns) {
    while (probe.word(counter) < count) {
        if (probe.stage == Stage::Ended || monotonic_ns() > deadline_ns) return false;
        // With one CPU the guest runs only while we wait.
        std::this_thread::yield();
    }
    return true;
}

/// The main thread's results.
struct Seen {
    std::string failure;
    std::string unfinished;
    u32 sent = 0;
    u32 received = 0;
    bool is_lost = false;
    std::optional<u64> injections;
    std::optional<u64> latency_ns;
};

/// Interrupts for a guest that is busy on the other thread, one at a time.
void deliver(const ProbeMachine& probe, pthread_t thread, Seen& seen) {
    std::array<u64, kProbeInterrupts> latencies_ns{};
    // The MSIs of the measurement before this one must not be counted here.
    if (!wait_for_count(probe, kMsiCount, 1, monotonic_ns() + kInterruptPatienceNs)) {
        seen.unfinished = kBusy;
        return;
    }
    const std::optional<u64> before = probe.injections();
    while (seen.sent < kProbeInterrupts && monotonic_ns() < probe.deadline_ns) {
        const u64 pause_end = monotonic_ns() + kInterruptPauseNs;
        while (monotonic_ns() < pause_end) std::this_thread::yield();
        const Chance chance(probe, thread);
        const u64 sent_at = monotonic_ns();
        probe.irqfd->signal();
        const u32 expected = ++seen.sent;
        if (!wait_for_count(probe, kIrqfdCount, expected, sent_at + kInterruptPatienceNs)) {
            seen.is_lost = probe.stage != Stage::Ended && chance.was_given();
            break;
        }
        latencies_ns[expected - 1] = monotonic_ns() - sent_at;
    }
    seen.received = probe.word(kIrqfdCount);
    if (seen.received != kProbeInterrupts) {
        if (!seen.is_lost) seen.unfinished = kBusy;
        return;
    }
    const std::optional<u64> after = probe.injections();
    if (before && after) seen.injections = *after - *before;
    seen.latency_ns = median(latencies_ns);
}

void wait_for_timers(ProbeMachine& probe) {
    while (probe.stage == Stage::Timing) {
        const u64 armed_ns = probe.timer_armed_ns;
        if (armed_ns != 0 && monotonic_ns() > armed_ns + kTimerPatienceNs) {
            probe.seemed_asleep = is_asleep(state_of(probe));
            return;
        }
        std::this_thread::sleep_for(milliseconds(1));
    }
}

/// Follows the guest through its stages; names the stage where it stops.
Seen watch_guest(ProbeMachine& probe, pthread_t thread, const ProbeLimits& limits) {
    Seen seen;
    const auto fair_ns = static_cast<u64>(nanoseconds(limits.fair).count());
    const auto long_ns = static_cast<u64>(nanoseconds(limits.longest).count());
    const auto is_through = [&](Stage stage, u64 patience_ns, std::string_view where) {
        const Wait wait = wait_while(probe, thread, stage, patience_ns, long_ns);
        if (wait == Wait::Starved) seen.unfinished = kBusy;
        if (wait == Wait::Stuck)
            seen.failure = fmt::format("the probe guest had a CPU for {} ms and did not come {}",
                                       limits.longest.count(), where);
        return wait == Wait::Over;
    };
    // Whether a guest runs at all is worth waiting for.
    if (!is_through(Stage::Starting, long_ns, "to its first port write")) return seen;
    if (!is_through(Stage::Measuring, fair_ns, "through its measurements")) return seen;
    if (probe.stage == Stage::Delivering && probe.irqfd) deliver(probe, thread, seen);
    (void)probe.ram.memory().store_release<u32>(kStop, 1);
    if (!is_through(Stage::Delivering, std::max(fair_ns, kInterruptPatienceNs), "out of its busy loop"))
        return seen;
    wait_for_timers(probe);
    return seen;
}

/// Makes the vCPU thread leave KVM_RUN. False when KVM does not let it.
bool stop_guest(ProbeMachine& probe, pthread_t thread) {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(kick_signal(), &action, nullptr);
    probe.gives_up = true;
    const u64 deadline_ns = monotonic_ns() + kKickPatienceNs;
    while (probe.stage != Stage::Ended) {
        if (monotonic_ns() > deadline_ns) return false;
        set_immediate_exit(probe.vcpu.run_page(), true);
        ::pthread_kill(thread, kick_signal());
        std::this_thread::sleep_for(kKickInterval);
    }
    return true;
}

ProbeFacts joined(ProbeFacts facts, const Seen& seen, bool was_stopped) {
    if (facts.failure.empty()) facts.failure = seen.failure;
    if (!seen.unfinished.empty()) facts.unfinished = seen.unfinished;
    // Told to stop while its timer was armed, which was then found to have fired.
    const bool is_dead = !facts.failure.empty() || !facts.has_timer_fired.value_or(true);
    if (was_stopped && !is_dead && facts.unfinished.empty()) facts.unfinished = kBusy;
    facts.interrupts_sent = seen.sent;
    facts.interrupts_received = seen.received;
    facts.is_interrupt_lost = seen.is_lost;
    facts.injections = seen.injections;
    facts.interrupt_ns = seen.latency_ns;
    return facts;
}

}  // namespace

bool had_chance(u64 elapsed_ns, u64 cpu_ns, char state) {
    constexpr u64 kFairShare = 4;
    // Asleep: it waits for something other than a CPU.
    return is_asleep(state) || cpu_ns >= elapsed_ns / kFairShare;
}

double kvmclock_tsc_khz(u32 multiplier, int shift) {
    // A tick is 2^shift * multiplier / 2^32 ns.
    return std::ldexp(1e6 / static_cast<double>(multiplier), 32 - shift);
}

ProbeFacts run_probe(const KvmSystem& kvm, ProbeLimits limits, u32 tsc_khz) {
    ProbeFacts facts;
    Result<GuestRam> ram =
        GuestRam::create({.size_bytes = MAYFLY_PROBE_RAM_BYTES, .hole_base = layout::kHole});
    if (!ram) {
        facts.unfinished = ram.error().message();
        return facts;
    }
    Result<std::unique_ptr<ProbeMachine>> made = make_probe_machine(kvm, std::move(*ram), tsc_khz);
    if (!made) {
        facts.failure = made.error().message();
        return facts;
    }
    std::unique_ptr<ProbeMachine> probe = std::move(*made);
    facts = probe->facts;
    probe->deadline_ns = monotonic_ns() + static_cast<u64>(nanoseconds(limits.fair).count());
    // Not std::thread, which throws where the host allows no more threads.
    pthread_t thread{};
    if (const int error = ::pthread_create(&thread, nullptr, run_guest, probe.get()); error != 0) {
        facts.unfinished = Error::os("pthread_create", error).message();
        return facts;
    }
    const Seen seen = watch_guest(*probe, thread, limits);
    const bool has_ended = probe->stage == Stage::Ended;
    const Chance chance(*probe, thread);
    if (!has_ended && !stop_guest(*probe, thread)) {
        // The process is about to end and takes both along; waiting for this thread could take forever.
        facts.has_run = probe->stage != Stage::Starting;
        (chance.was_given() ? facts.failure : facts.unfinished) =
            "KVM_RUN did not return when it was told to";
        ::pthread_detach(thread);
        (void)probe.release();
        return facts;
    }
    ::pthread_join(thread, nullptr);
    return joined(probe->facts, seen, !has_ended);
}

}  // namespace mayfly
