// SPDX-License-Identifier: Apache-2.0
#include "vmm/os/clock.h"

#include <ctime>

namespace mayfly {

namespace {
u64 clock_ns(clockid_t clock) {
    timespec now{};
    ::clock_gettime(clock, &now);
    return static_cast<u64>(now.tv_sec) * 1'000'000'000 + static_cast<u64>(now.tv_nsec);
}
}  // namespace

u64 monotonic_ns() { return clock_ns(CLOCK_MONOTONIC); }

u64 thread_cpu_ns() { return clock_ns(CLOCK_THREAD_CPUTIME_ID); }

i64 wall_seconds() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

}  // namespace mayfly
