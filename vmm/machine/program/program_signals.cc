// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/program/program_signals.h"

#include <csignal>

#include <poll.h>
#include <unistd.h>

#include "vmm/os/clock.h"

namespace mayfly {

namespace {

using channel::MessageKind;

/// How long a guest has to kill a program, and to tell of it.
constexpr std::chrono::milliseconds kKillLimit{2000};
constexpr int kPausedMs = 1;

}  // namespace

void ProgramSignals::pass() {
    const u64 came = stop_.signals().take();
    if (came == 0) return;
    for (int number = 1; number < 64; ++number) {
        if ((came & SignalRelay::bit_of(number)) == 0) continue;
        // Init takes them as fast as it runs; one that does not is killed in time.
        (void)channel_.send({MessageKind::Signal, static_cast<u32>(number)});
        if (number == SIGINT || number == SIGTERM) begin_grace(number);
    }
    if (stop_.signals().interrupts() < 2) return;
    if (const EventFd* hurry = hurries_.load(std::memory_order_acquire)) hurry->signal();
}

void ProgramSignals::begin_grace(int number) {
    const Lock lock(mutex_);
    if (thread_) return;
    Result<EventFd> hurry = EventFd::create();
    if (hurry) {
        hurry_.emplace(std::move(*hurry));
        hurries_.store(&*hurry_, std::memory_order_release);
        Result<Thread> thread = Thread::start([this, number] { wait_and_kill(number); });
        if (thread) {
            thread_.emplace(*thread);
            return;
        }
    }
    // Without it nobody would see to the end.
    stop_.end_from_signal(EndKind::Signal, static_cast<u64>(number));
}

bool ProgramSignals::is_hurried_within(std::chrono::milliseconds limit) const {
    const u64 deadline_ns = monotonic_ns() + static_cast<u64>(std::chrono::nanoseconds(limit).count());
    const EventFd& hurry = *hurries_.load(std::memory_order_acquire);
    for (;;) {
        const u64 now_ns = monotonic_ns();
        if (now_ns >= deadline_ns) return false;
        pollfd come{.fd = hurry.fd().get(), .events = POLLIN, .revents = 0};
        if (::poll(&come, 1, static_cast<int>((deadline_ns - now_ns) / 1'000'000) + 1) > 0) return true;
    }
}

void ProgramSignals::kill() {
    while (!is_over_.load(std::memory_order_acquire)) {
        const GuestGate::Visit visit(stop_.gate());
        if (visit) {
            (void)channel_.send({MessageKind::Kill, 0});
            return;
        }
        ::poll(nullptr, 0, kPausedMs);
    }
}

void ProgramSignals::wait_and_kill(int number) {
    if (is_hurried_within(grace_)) (void)hurries_.load(std::memory_order_acquire)->take();
    if (is_over_.load(std::memory_order_acquire) || stop_.is_requested()) return;
    kill();
    (void)is_hurried_within(kKillLimit);
    if (is_over_.load(std::memory_order_acquire) || stop_.is_requested()) return;
    stop_.end_from_signal(EndKind::Signal, static_cast<u64>(number));
}

void ProgramSignals::end() {
    is_over_.store(true, std::memory_order_release);
    const Lock lock(mutex_);
    if (!thread_) return;
    hurry_->signal();
    thread_->join();
    thread_.reset();
}

}  // namespace mayfly
