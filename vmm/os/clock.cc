// SPDX-License-Identifier: Apache-2.0
#include "vmm/os/clock.h"

#include <ctime>

namespace mayfly {

u64 monotonic_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<u64>(now.tv_sec) * 1'000'000'000 + static_cast<u64>(now.tv_nsec);
}

i64 wall_seconds() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

}  // namespace mayfly
