// SPDX-License-Identifier: Apache-2.0
#include "vmm/os/clock.h"

#include <chrono>
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

i64 wall_ns() { return static_cast<i64>(clock_ns(CLOCK_REALTIME)); }

i64 wall_seconds() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

u64 ns_since_wall(i64 then_ns) {
    const i64 now_ns = wall_ns();
    return now_ns > then_ns ? static_cast<u64>(now_ns) - static_cast<u64>(then_ns) : 0;
}

UtcTime utc_time(i64 seconds_since_epoch) {
    const std::chrono::sys_seconds time{std::chrono::seconds(seconds_since_epoch)};
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(time - day);
    return {.year = int{date.year()},
            .month = unsigned{date.month()},
            .day = unsigned{date.day()},
            .hour = static_cast<unsigned>(clock.hours().count()),
            .minute = static_cast<unsigned>(clock.minutes().count()),
            .second = static_cast<unsigned>(clock.seconds().count())};
}

}  // namespace mayfly
