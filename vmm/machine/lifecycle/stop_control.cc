// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/lifecycle/stop_control.h"

#include <sched.h>

namespace mayfly {

bool StopControl::claim() noexcept { return !claimed_.exchange(true, std::memory_order_acq_rel); }

void StopControl::bring_out() noexcept {
    vcpus_.kick_all();
    vcpus_.end_pause();
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
    bring_out();
}

void StopControl::end_from_signal(EndKind kind, u64 value) noexcept {
    if (!claim()) {
        was_signalled_again_.store(true, std::memory_order_release);
        return bring_out();
    }
    ending_.kind = kind;
    ending_.value = value;
    published_.store(true, std::memory_order_release);
    bring_out();
}

bool StopControl::is_abrupt() const {
    if (was_signalled_again_.load(std::memory_order_acquire)) return true;
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
        case EndKind::SnapshotTaken:
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

}  // namespace mayfly
