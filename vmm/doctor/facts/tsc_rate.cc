// SPDX-License-Identifier: Apache-2.0
#include "vmm/doctor/facts/tsc_rate.h"

#include <x86intrin.h>

namespace mayfly {

namespace {

constexpr u64 kNsPerSecond = 1'000'000'000;
constexpr int kTries = 16;
constexpr double kDoubtPpmMax = 20;
constexpr int kWaits = 20;
constexpr timespec kWait{0, 10'000'000};

}  // namespace

TscSample sample_tsc(clockid_t clock) {
    TscSample best;
    for (int i = 0; i < kTries; ++i) {
        timespec now{};
        const u64 before = __rdtsc();
        ::clock_gettime(clock, &now);
        const u64 doubt = __rdtsc() - before;
        // An interruption makes a sample longer: the shortest was not interrupted.
        if (i != 0 && doubt >= best.doubt_ticks) continue;
        best = {.ticks = before + doubt / 2,
                .ns = static_cast<u64>(now.tv_sec) * kNsPerSecond + static_cast<u64>(now.tv_nsec),
                .doubt_ticks = doubt};
    }
    return best;
}

std::optional<TscRate> tsc_rate(const TscSample& from, const TscSample& to) {
    if (to.ns <= from.ns || to.ticks <= from.ticks) return std::nullopt;
    const auto ticks = static_cast<double>(to.ticks - from.ticks);
    const auto doubt = static_cast<double>(from.doubt_ticks + to.doubt_ticks) / 2;
    return TscRate{.khz = ticks * 1e6 / static_cast<double>(to.ns - from.ns),
                   .doubt_ppm = doubt / ticks * 1e6};
}

std::optional<double> tsc_khz_since(const TscSample& from, clockid_t clock) {
    for (int i = 0; i <= kWaits; ++i) {
        const std::optional<TscRate> rate = tsc_rate(from, sample_tsc(clock));
        if (rate && rate->doubt_ppm <= kDoubtPpmMax) return rate->khz;
        ::nanosleep(&kWait, nullptr);
    }
    return std::nullopt;
}

}  // namespace mayfly
