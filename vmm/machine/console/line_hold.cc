// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/console/line_hold.h"

#include <csignal>
#include <ctime>

#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/machine/lifecycle/run_control.h"
#include "vmm/os/clock.h"

namespace mayfly {

LineHold::~LineHold() {
    if (timer_) ::syscall(SYS_timer_delete, *timer_);
}

std::size_t LineHold::due(std::string_view pending, std::size_t fresh_bytes) {
    const std::size_t line_end = pending.substr(pending.size() - fresh_bytes).rfind('\n');
    const bool has_line = line_end != std::string_view::npos;
    if (has_line && line_end + 1 == fresh_bytes) {
        since_ns_.reset();
        return pending.size();
    }
    if (!holds_) holds_ = fd_ >= 0 && ::isatty(fd_) == 0;
    if (!*holds_) return pending.size();
    if (has_line || !since_ns_) since_ns_ = monotonic_ns();
    if (!is_ticking_ && !start_timer()) {
        holds_ = false;
        return pending.size();
    }
    return has_line ? pending.size() - fresh_bytes + line_end + 1 : 0;
}

bool LineHold::is_over() const { return since_ns_ && monotonic_ns() - *since_ns_ >= kHoldNs; }

void LineHold::end() {
    since_ns_.reset();
    if (!is_ticking_) return;
    is_ticking_ = false;
    set_timer(0);
}

bool LineHold::start_timer() {
    if (!timer_) {
        sigevent event{};
        event.sigev_notify = SIGEV_THREAD_ID;
        event.sigev_signo = kick_signal();
        event._sigev_un._tid = ::gettid();
        int timer = 0;
        // The kernel's own: a C library's timer_create() keeps other things.
        if (::syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) < 0) return false;
        timer_ = timer;
    }
    is_ticking_ = true;
    set_timer(kHoldNs);
    return true;
}

void LineHold::set_timer(u64 interval_ns) {
    const timespec interval{.tv_sec = 0, .tv_nsec = static_cast<long>(interval_ns)};
    const itimerspec ticks{.it_interval = interval, .it_value = interval};
    ::syscall(SYS_timer_settime, *timer_, 0, &ticks, nullptr);
}

}  // namespace mayfly
