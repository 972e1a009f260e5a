// SPDX-License-Identifier: Apache-2.0
// smp: all processors start and count together under a locked increment.
#include "firmware/guests/runtime/apic.h"
#include "firmware/guests/runtime/clock.h"
#include "firmware/guests/runtime/processors.h"
#include "firmware/guests/runtime/report.h"

namespace guest {
namespace {

constexpr u32 kCountsEach = 20;

constinit volatile u32 counted = 0;

void count_up(u32 /*apic_id*/) {
    for (u32 n = 0; n < kCountsEach; ++n) asm volatile("lock incl %0" : "+m"(counted) : : "memory");
}

}  // namespace
}  // namespace guest

extern "C" guest::u32 guest_main() {
    using namespace guest;
    apic::enable();
    const u32 processors = processors_expected();
    expect_equal("started", processors, start_processors(processors, count_up));
    count_up(0);
    poll_for(counted, processors * kCountsEach, kArrivalMicroseconds);
    expect_equal("counted", u64{processors} * kCountsEach, counted);
    Line{}.add("processors ").add_decimal(processors).print_line();
    return failure_count();
}
