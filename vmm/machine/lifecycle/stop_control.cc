// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/lifecycle/stop_control.h"

#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "vmm/error/verify.h"

namespace mayfly {

int kick_signal() { return SIGUSR1; }

void StopControl::add_vcpu(kvm_run& run) {
    const std::size_t index = slot_count_.load(std::memory_order_relaxed);
    // no guest: --cpus takes no more, and vCPUs are added before they run.
    VERIFY(index < kVcpusMax);
    slots_[index].run = &run;
    slot_count_.store(index + 1, std::memory_order_release);
}

void StopControl::set_thread(std::size_t index, bool is_inside) {
    slots_[index].thread_id.store(is_inside ? ::gettid() : 0, std::memory_order_release);
}

bool StopControl::claim() noexcept { return !claimed_.exchange(true, std::memory_order_acq_rel); }

void StopControl::kick_all() noexcept {
    const std::size_t count = slot_count_.load(std::memory_order_acquire);
    for (std::size_t i = 0; i < count; ++i) {
        // SAFETY: the kernel reads this byte at KVM_RUN's entry; a single store cannot tear.
        __atomic_store_n(&slots_[i].run->immediate_exit, 1, __ATOMIC_RELEASE);
        const int thread = slots_[i].thread_id.load(std::memory_order_acquire);
        if (thread != 0 && thread != ::gettid()) ::tgkill(::getpid(), thread, kick_signal());
    }
    const EventFd* wake = wake_.load(std::memory_order_acquire);
    if (wake != nullptr) wake->signal();
}

void StopControl::decide(Verdict verdict, u64 value) {
    switch (verdict) {
        case Verdict::ExitCode: end({EndKind::ExitCode, value, {}}); break;
        case Verdict::PowerOff: end({EndKind::PowerOff, 0, {}}); break;
        case Verdict::Reset: end({EndKind::Reset, 0, {}}); break;
        case Verdict::Panic: end({EndKind::Panic, 0, {}}); break;
    }
}

void StopControl::end(Ending ending) {
    if (!claim()) return;
    ending_ = std::move(ending);
    published_.store(true, std::memory_order_release);
    kick_all();
}

void StopControl::end_from_signal(EndKind kind, u64 value) noexcept {
    if (!claim()) {
        is_insisted_.store(true, std::memory_order_release);
        return kick_all();
    }
    ending_.kind = kind;
    ending_.value = value;
    published_.store(true, std::memory_order_release);
    kick_all();
}

bool StopControl::is_abrupt() const {
    if (is_insisted_.load(std::memory_order_acquire)) return true;
    if (!published_.load(std::memory_order_acquire)) return false;
    switch (ending_.kind) {
        case EndKind::Timeout:
        case EndKind::Signal:
        case EndKind::Quit:
        case EndKind::HostError: return true;
        case EndKind::ExitCode:
        case EndKind::PowerOff:
        case EndKind::Reset:
        case EndKind::Panic:
        case EndKind::Crash:
        case EndKind::Expected:
        case EndKind::FailedOn:
        case EndKind::ProgramEnded:
        case EndKind::Unreported: return false;
    }
    return false;
}

Ending StopControl::ending() const {
    while (!published_.load(std::memory_order_acquire)) ::sched_yield();
    return ending_;
}

std::size_t StopControl::threads_inside() const {
    std::size_t inside = 0;
    for (const Slot& slot : slots_) inside += slot.thread_id.load(std::memory_order_acquire) != 0 ? 1 : 0;
    return inside;
}

}  // namespace mayfly
