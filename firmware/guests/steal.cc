// SPDX-License-Identifier: Apache-2.0
// steal: the time that this processor was ready to run and did not.
#include "firmware/guests/runtime/clock.h"
#include "firmware/guests/runtime/paravirt.h"
#include "firmware/guests/runtime/report.h"

namespace guest {
namespace {

alignas(64) constinit paravirt::StealTime steal_time{};

/// More stolen than this in a probe that takes milliseconds is not a time but garbage.
constexpr u64 kStealMaxNs = 60'000'000'000;

}  // namespace
}  // namespace guest

extern "C" guest::u32 guest_main() {
    using namespace guest;
    expect("feature", (paravirt::features() & paravirt::kFeatureStealTime) != 0);
    write_msr(paravirt::kStealTimeMsr, reinterpret_cast<u64>(&steal_time) | 1);
    const u64 start = read_tsc();
    visit_host();
    while (read_tsc() - start < tsc_ticks(100)) pause();
    visit_host();
    const u32 version = steal_time.version;
    expect("version written", version != 0);
    expect_equal("version even", 0, version & 1);
    expect_equal("flags", 0, steal_time.flags);
    expect_between("steal ns", 0, kStealMaxNs, steal_time.steal_ns);
    expect_equal("msr reads back", reinterpret_cast<u64>(&steal_time) | 1, read_msr(paravirt::kStealTimeMsr));
    write_msr(paravirt::kStealTimeMsr, 0);
    return failure_count();
}
