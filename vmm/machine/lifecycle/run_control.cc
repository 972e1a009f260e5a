// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/lifecycle/run_control.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <fmt/format.h>

#include "vmm/error/verify.h"
#include "vmm/kvm/kvm_vcpu.h"
#include "vmm/os/clock.h"

namespace mayfly {

namespace {

/// A kick that came between a vCPU's last look and a system call that blocks is repeated after so long.
constexpr u64 kKickAgainNs = 2'000'000;
constexpr u64 kNsInMs = 1'000'000;

/// At most `timeout_ms`; less, where a signal comes. -1: for any time.
void wait_for(const EventFd& event, int timeout_ms) {
    pollfd waited{.fd = event.fd().get(), .events = POLLIN, .revents = 0};
    (void)::poll(&waited, 1, timeout_ms);
}

}  // namespace

int kick_signal() { return SIGUSR1; }

void RunControl::add_vcpu(kvm_run& run) {
    const std::size_t index = slot_count_.load(std::memory_order_relaxed);
    // no guest: --cpus takes no more, and vCPUs are added before they run.
    VERIFY(index < kVcpusMax);
    slots_[index].run = &run;
    slot_count_.store(index + 1, std::memory_order_release);
}

void RunControl::forget() {
    slot_count_.store(0, std::memory_order_seq_cst);
    wake_.store(nullptr, std::memory_order_seq_cst);
    while (kicking_.load(std::memory_order_seq_cst) != 0) ::sched_yield();
}

void RunControl::enter(std::size_t index) {
    Slot& slot = slots_[index];
    slot.thread_id.store(::gettid(), std::memory_order_release);
    run_when_allowed(slot);
}

void RunControl::leave(std::size_t index) {
    Slot& slot = slots_[index];
    slot.thread_id.store(0, std::memory_order_release);
    slot.state.store(VcpuState::Finished, std::memory_order_release);
    if (const Events* events = events_.load(std::memory_order_acquire)) events->stayed.signal();
}

// A kick after this ends the next KVM_RUN.
void RunControl::take_kick(std::size_t index) { set_immediate_exit(*slots_[index].run, false); }

void RunControl::stay_while_paused(std::size_t index) {
    if (is_pausing()) run_when_allowed(slots_[index]);
}

/// Under the lock that begins a pause: from then on a paused vCPU does not go on.
bool RunControl::try_to_run(Slot& slot) {
    const Lock lock(mutex_);
    if (is_pausing() && !end_.is_requested()) return false;
    slot.state.store(VcpuState::Running, std::memory_order_release);
    return true;
}

void RunControl::run_when_allowed(Slot& slot) {
    if (try_to_run(slot)) return;
    // pause() makes the events before it announces a pause.
    const Events& events = *events_.load(std::memory_order_acquire);
    slot.state.store(VcpuState::Paused, std::memory_order_release);
    events.stayed.signal();
    // No vCPU reads the event down: it wakes all of them.
    while (!try_to_run(slot)) wait_for(events.go_on, -1);
}

void RunControl::kick_all() noexcept {
    // Counted before the slots are read, as forget() reads the count after it has cleared a slot.
    kicking_.fetch_add(1, std::memory_order_seq_cst);
    const std::size_t count = slot_count_.load(std::memory_order_seq_cst);
    for (std::size_t i = 0; i < count; ++i) {
        set_immediate_exit(*slots_[i].run, true);
        const int thread = slots_[i].thread_id.load(std::memory_order_acquire);
        if (thread != 0 && thread != ::gettid()) ::tgkill(::getpid(), thread, kick_signal());
    }
    const EventFd* wake = wake_.load(std::memory_order_seq_cst);
    if (wake != nullptr) wake->signal();
    kicking_.fetch_sub(1, std::memory_order_release);
}

void RunControl::end_pause() noexcept {
    if (const Events* events = events_.load(std::memory_order_acquire)) {
        events->go_on.signal();
        events->stayed.signal();
    }
}

Result<void> RunControl::make_events() {
    if (made_events_) return {};
    EventFd stayed = TRY(EventFd::create());
    EventFd go_on = TRY(EventFd::create());
    made_events_.emplace(Events{.stayed = std::move(stayed), .go_on = std::move(go_on)});
    events_.store(&*made_events_, std::memory_order_release);
    return {};
}

std::optional<std::size_t> RunControl::first_inside() const {
    const std::size_t count = slot_count_.load(std::memory_order_acquire);
    for (std::size_t i = 0; i < count; ++i) {
        if (state(i) == VcpuState::Running) return i;
    }
    return std::nullopt;
}

void RunControl::begin_pause() {
    (void)made_events_->go_on.take();
    (void)made_events_->stayed.take();
    {
        const Lock lock(mutex_);
        is_pausing_.store(true, std::memory_order_seq_cst);
    }
    kick_all();
}

Result<void> RunControl::pause(u64 deadline_ns) {
    TRY_VOID(make_events());
    const u64 begin_ns = monotonic_ns();
    begin_pause();
    for (u64 kicked_ns = begin_ns;;) {
        const std::optional<std::size_t> inside = first_inside();
        if (end_.is_requested()) {
            resume();
            return fail(Error::stopped());
        }
        if (!inside) return {};
        const u64 now_ns = monotonic_ns();
        if (now_ns >= deadline_ns) {
            resume();
            return fail(Error::host(fmt::format("vCPU {} does not stop within {} ms", *inside,
                                                (deadline_ns - begin_ns + kNsInMs - 1) / kNsInMs)));
        }
        if (now_ns - kicked_ns >= kKickAgainNs) {
            kicked_ns = now_ns;
            kick_all();
        }
        wait_for(made_events_->stayed, static_cast<int>(kKickAgainNs / kNsInMs));
        (void)made_events_->stayed.take();
    }
}

void RunControl::resume() noexcept {
    is_pausing_.store(false, std::memory_order_release);
    if (made_events_) made_events_->go_on.signal();
}

std::size_t RunControl::threads_inside() const {
    std::size_t inside = 0;
    for (const Slot& slot : slots_)
        inside += slot.state.load(std::memory_order_acquire) != VcpuState::Finished ? 1 : 0;
    return inside;
}

}  // namespace mayfly
