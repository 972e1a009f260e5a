// SPDX-License-Identifier: Apache-2.0
// Times of files as nanoseconds since the Unix epoch, and the clock that they are taken from.
#pragma once

#include <ctime>

#include "vmm/error/ints.h"

namespace mayfly {

[[nodiscard]] inline u64 time_ns(const timespec& time) {
    return static_cast<u64>(time.tv_sec) * 1'000'000'000 + static_cast<u64>(time.tv_nsec);
}

[[nodiscard]] inline u64 now_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return time_ns(now);
}

/// When this host was started.
[[nodiscard]] inline u64 host_start_ns() {
    timespec since{};
    ::clock_gettime(CLOCK_BOOTTIME, &since);
    return now_ns() - time_ns(since);
}

}  // namespace mayfly
