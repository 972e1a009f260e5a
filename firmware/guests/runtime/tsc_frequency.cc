// SPDX-License-Identifier: Apache-2.0
// tsc_khz(), from any source.
#include "firmware/guests/runtime/boot_info.h"
#include "firmware/guests/runtime/clock.h"
#include "firmware/guests/runtime/paravirt.h"

namespace guest {
namespace {

alignas(64) constinit paravirt::SystemTime system_time{};

u32 find_tsc_khz() {
    const u64 told = option_value("tsc_khz", host_frequencies().tsc_khz);
    if (told != 0) return static_cast<u32>(told);
    if ((paravirt::features() & paravirt::kFeatureClock) == 0) return 0;
    write_msr(paravirt::kSystemTimeMsr, reinterpret_cast<u64>(&system_time) | 1);
    visit_host();
    const u64 khz = paravirt::read_clock(system_time).tsc_khz;
    write_msr(paravirt::kSystemTimeMsr, 0);
    return static_cast<u32>(khz);
}

}  // namespace

u32 tsc_khz() {
    static constinit u32 khz = 0;
    if (khz == 0) khz = find_tsc_khz();
    return khz;
}

}  // namespace guest
