// SPDX-License-Identifier: Apache-2.0
#include "vmm/threads/mutex.h"

#include <ctime>

namespace mayfly {

Condition::Condition() {
    // Of the attributes only the clock: a wait's length does not change when the system's time is set.
    pthread_condattr_t attributes;
    ::pthread_condattr_init(&attributes);
    ::pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    ::pthread_cond_init(&condition_, &attributes);
    ::pthread_condattr_destroy(&attributes);
}

void Condition::wait_for(Mutex& mutex, u64 limit_ns) {
    constexpr u64 kNsInSecond = 1'000'000'000;
    timespec end{};
    ::clock_gettime(CLOCK_MONOTONIC, &end);
    const u64 end_ns = static_cast<u64>(end.tv_nsec) + limit_ns % kNsInSecond;
    end.tv_sec += static_cast<time_t>(limit_ns / kNsInSecond + end_ns / kNsInSecond);
    end.tv_nsec = static_cast<long>(end_ns % kNsInSecond);
    ::pthread_cond_timedwait(&condition_, mutex.native(), &end);
}

}  // namespace mayfly
