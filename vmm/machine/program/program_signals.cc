// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/program/program_signals.h"

#include <csignal>

#include <poll.h>

#include "vmm/os/clock.h"

namespace mayfly {

namespace {

using channel::MessageKind;

/// How long a guest has to kill a program, and to report that.
constexpr std::chrono::milliseconds kKillLimit{2000};
constexpr int kForEver = -1;
constexpr int kPausedMs = 1;

}  // namespace

Result<void> ProgramSignals::start() {
    wake_ = TRY(EventFd::create());
    thread_ = TRY(Thread::start([this] { run(); }));
    stop_.signals().open(*wake_);
    return {};
}

void ProgramSignals::end() {
    if (!thread_) return;
    stop_.signals().close();
    is_over_.store(true, std::memory_order_release);
    wake_->signal();
    thread_->join();
    thread_.reset();
}

void ProgramSignals::on_program_ended() {
    has_program_ended_.store(true, std::memory_order_release);
    if (wake_) wake_->signal();
}

void ProgramSignals::enter(Stage stage, std::chrono::milliseconds limit) {
    stage_ = stage;
    deadline_ns_ = monotonic_ns() + static_cast<u64>(std::chrono::nanoseconds(limit).count());
}

void ProgramSignals::send(channel::Message message) {
    while (!is_over_.load(std::memory_order_acquire) && !stop_.is_requested()) {
        {
            const GuestGate::Visit visit(stop_.gate());
            // Init takes them as fast as it runs; a program whose init does not is killed in time.
            if (visit) return (void)channel_.send(message);
        }
        ::poll(nullptr, 0, kPausedMs);
    }
}

void ProgramSignals::await() {
    int limit_ms = kForEver;
    if (stage_ != Stage::Running) {
        const u64 now_ns = monotonic_ns();
        limit_ms = now_ns < deadline_ns_ ? static_cast<int>((deadline_ns_ - now_ns) / 1'000'000) + 1 : 0;
    }
    pollfd come{.fd = wake_->fd().get(), .events = POLLIN, .revents = 0};
    if (::poll(&come, 1, limit_ms) > 0) (void)wake_->take();
}

void ProgramSignals::pass_on() {
    const u64 came = stop_.signals().take();
    for (int number = 1; number < 64; ++number) {
        if ((came & SignalRelay::bit_of(number)) == 0) continue;
        const bool asks_for_end = number == SIGINT || number == SIGTERM;
        if (stop_.is_requested()) {
            // The guest has ended, and the reader had enough time.
            if (asks_for_end) stop_.end_from_signal(EndKind::Signal, static_cast<u64>(number));
            continue;
        }
        send({MessageKind::Signal, static_cast<u32>(number)});
        if (stage_ != Stage::Running || !asks_for_end) continue;
        ended_by_ = number;
        enter(is_copying_ ? Stage::Leaving : Stage::Grace, grace_);
    }
}

void ProgramSignals::go_on() {
    const bool is_late = stage_ != Stage::Running && monotonic_ns() >= deadline_ns_;
    const bool was_interrupted_twice = stop_.signals().interrupts() >= 2;
    const bool is_killing = stage_ == Stage::Grace && !stop_.is_requested();
    if (is_killing && (is_late || was_interrupted_twice)) {
        send({MessageKind::Kill, 0});
        enter(Stage::Killed, kKillLimit);
    } else if (is_late || (stage_ == Stage::Leaving && was_interrupted_twice)) {
        // Waits for the machine's end, or until no reader is waited for.
        stop_.end_from_signal(EndKind::Signal, static_cast<u64>(ended_by_));
        stage_ = Stage::Running;
    }
}

void ProgramSignals::run() {
    while (!is_over_.load(std::memory_order_acquire)) {
        await();
        if (has_program_ended_.exchange(false, std::memory_order_acq_rel)) {
            is_copying_ = true;
            if (stage_ != Stage::Running) enter(Stage::Leaving, grace_);
        }
        pass_on();
        go_on();
    }
}

}  // namespace mayfly
