// SPDX-License-Identifier: Apache-2.0
// pveoi: interrupts acknowledged by clearing a bit in memory. Where an EOI needs no exit the host never sets
// the bit, which is right too, and is reported.
#include "firmware/guests/runtime/paravirt.h"
#include "firmware/guests/runtime/report.h"

extern "C" guest::u32 guest_main() {
    using namespace guest;
    constexpr u32 kCount = 16;
    if ((paravirt::features() & paravirt::kFeatureEoi) == 0) {
        fail("pveoi: CPUID 0x40000001 does not offer it");
        return failure_count();
    }
    apic::enable();
    paravirt::exercise_eoi(kCount);
    expect_equal("interrupts", kCount, paravirt::eoi_counts.interrupts);
    expect_equal("nothing in service", 0, apic::in_service_bank(kReplyVector));
    if (paravirt::eoi_counts.skipped == 0) {
        Line{}.add("ok pveoi ").add(paravirt::why_not_armed()).print_line();
    } else {
        Line{}
            .add("ok pveoi ")
            .add_decimal(paravirt::eoi_counts.skipped)
            .add(" of 16 without EOI")
            .print_line();
    }
    return failure_count();
}
