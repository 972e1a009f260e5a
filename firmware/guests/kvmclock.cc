// SPDX-License-Identifier: Apache-2.0
// kvmclock: the shared clock: its protocol, its stable bit, its frequency against CPUID 0x40000010.
#include "firmware/guests/runtime/clock.h"
#include "firmware/guests/runtime/paravirt.h"
#include "firmware/guests/runtime/report.h"

namespace guest {
namespace {

alignas(64) constinit paravirt::SystemTime system_time{};
alignas(64) constinit paravirt::WallClock wall_clock{};

/// 2020-01-01: any host's clock is later.
constexpr u32 kSecondsLeast = 1'577'836'800;

void check_wall_clock() {
    write_msr(paravirt::kWallClockMsr, reinterpret_cast<u64>(&wall_clock));
    expect_equal("wall clock version", 0, wall_clock.version & 1);
    expect_between("wall clock", kSecondsLeast, 0xffff'ffff, wall_clock.seconds);
    expect_between("wall clock ns", 0, 999'999'999, wall_clock.nanoseconds);
}

void check_frequency(u64 khz) {
    const u32 told = host_frequencies().tsc_khz;
    if (told == 0) return fail("frequency: no CPUID 0x40000010");
    expect_between("frequency", told - told / 1000, told + told / 1000, khz);
}

}  // namespace
}  // namespace guest

extern "C" guest::u32 guest_main() {
    using namespace guest;
    const u32 features = paravirt::features();
    expect("feature", (features & paravirt::kFeatureClock) != 0);
    write_msr(paravirt::kSystemTimeMsr, reinterpret_cast<u64>(&system_time) | 1);
    visit_host();
    const paravirt::ClockReading first = paravirt::read_clock(system_time);
    expect("version written", first.version != 0);
    const bool may_be_stable = (features & paravirt::kFeatureClockStable) != 0;
    expect("stable only if offered", may_be_stable || !first.is_stable);
    pass(first.is_stable ? Text("stable") : Text("not stable (host's clock is not the TSC)"));
    check_frequency(first.tsc_khz);

    const u64 wait = tsc_ticks(100);
    const u64 start = read_tsc();
    while (read_tsc() - start < wait) pause();
    const paravirt::ClockReading second = paravirt::read_clock(system_time);
    const u64 elapsed_ns = second.time_ns - first.time_ns;
    expect_between("advances", 99'000, 10'000'000'000, elapsed_ns);
    check_wall_clock();
    write_msr(paravirt::kSystemTimeMsr, 0);
    return failure_count();
}
