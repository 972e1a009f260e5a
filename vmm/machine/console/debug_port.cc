// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/console/debug_port.h"

#include <poll.h>

#include "vmm/os/clock.h"

namespace mayfly {

namespace {

// A hold ends at the second of two checks, so that a guest which the host did not run is not cut off.
constexpr u64 kBetweenLooksNs = 50'000'000;
constexpr u64 kFirstLookNs = DebugHold::kHoldNs - kBetweenLooksNs;
constexpr u64 kNsInMs = 1'000'000;

}  // namespace

DebugPort::DebugPort(std::string_view choice, int fd, ConsoleOutput& console, StopControl& stop)
    : console_(console), stop_(stop) {
    if (choice == "off") return;
    if (choice == "auto") {
        const Lock guard(mutex_);
        hold_.emplace(console, monotonic_ns);
        sink_ = &debug_;
    } else if (fd >= 0) {
        own_ = std::make_unique<ConsoleOutput>(fd, stop);
        sink_ = own_.get();
    } else {
        sink_ = &console;
    }
}

DebugPort::~DebugPort() {
    if (!watcher_) return;
    {
        const Lock lock(mutex_);
        is_over_ = true;
        is_idle_ = false;
        began_->notify_one();
    }
    watcher_->interrupt_and_join(kick_signal());
}

void DebugPort::Held::put(u8 byte) {
    const Lock guard(port_.mutex_);
    (*port_.hold_.*way_)(byte);
    if (!port_.hold_->held_since_ns()) return;
    if (!port_.is_watched_) port_.start_watching();
    if (!port_.is_idle_) return;
    port_.is_idle_ = false;
    port_.began_->notify_one();
}

void DebugPort::start_watching() {
    is_watched_ = true;
    began_.emplace();
    Result<Thread> thread = Thread::start([this] { watch(); });
    // Without the thread, held output is shown at the end, or when it becomes too much.
    if (thread) watcher_.emplace(*thread);
}

void DebugPort::watch() {
    while (!stop_.is_requested()) {
        const std::optional<u64> since_ns = wait_for_hold();
        if (!since_ns) return;
        const u64 held_ns = monotonic_ns() - *since_ns;
        const bool is_over = held_ns >= kFirstLookNs;
        if (is_over) stop_.vcpus().kick_all();
        const u64 wait_ns = is_over ? kBetweenLooksNs : kFirstLookNs - held_ns;
        ::poll(nullptr, 0, static_cast<int>(wait_ns / kNsInMs) + 1);
    }
}

std::optional<u64> DebugPort::wait_for_hold() {
    const Lock lock(mutex_);
    for (;;) {
        if (is_over_) return std::nullopt;
        if (const std::optional<u64> since_ns = hold_->held_since_ns()) return since_ns;
        is_idle_ = true;
        while (is_idle_) began_->wait(mutex_);
    }
}

void DebugPort::look() {
    if (own_ != nullptr) own_->look();
    if (!compares()) return;
    const Lock guard(mutex_);
    const std::optional<u64> since_ns = hold_->held_since_ns();
    const u64 now_ns = monotonic_ns();
    if (!since_ns || now_ns - *since_ns < kFirstLookNs) return;
    if (due_since_ns_ != since_ns) {
        due_since_ns_ = since_ns;
        due_ns_ = now_ns;
    } else if (now_ns - *since_ns >= DebugHold::kHoldNs && now_ns - due_ns_ >= kBetweenLooksNs / 2) {
        hold_->give_up();
    }
}

void DebugPort::finish() {
    if (compares()) {
        const Lock guard(mutex_);
        hold_->give_up();
    }
    flush_all();
}

}  // namespace mayfly
