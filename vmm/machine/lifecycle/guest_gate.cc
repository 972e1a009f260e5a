// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/lifecycle/guest_gate.h"

#include <unistd.h>

#include "vmm/os/clock.h"

namespace mayfly {

bool GuestGate::enter() {
    const Lock lock(mutex_);
    if (is_closed_) return false;
    ++inside_;
    return true;
}

void GuestGate::leave() {
    const Lock lock(mutex_);
    --inside_;
}

bool GuestGate::is_empty() {
    const Lock lock(mutex_);
    return inside_ == 0;
}

bool GuestGate::close(u64 deadline_ns) {
    {
        const Lock lock(mutex_);
        is_closed_ = true;
    }
    // Visits are rare and take microseconds, so their ends need no signal.
    constexpr u32 kLookAgainUs = 20;
    while (!is_empty()) {
        if (monotonic_ns() >= deadline_ns) return false;
        ::usleep(kLookAgainUs);
    }
    return true;
}

void GuestGate::open() {
    const Lock lock(mutex_);
    is_closed_ = false;
}

}  // namespace mayfly
