// SPDX-License-Identifier: Apache-2.0
// PV EOI, exercised.
#include "firmware/guests/runtime/paravirt.h"

#include "firmware/guests/runtime/clock.h"

namespace guest::paravirt {

constinit EoiCounts eoi_counts{};

namespace {

alignas(4) constinit u32 eoi_word = 0;

[[gnu::interrupt]] void on_interrupt(InterruptFrame* /*frame*/) {
    eoi_counts.interrupts = eoi_counts.interrupts + 1;
    bool was_set;
    asm volatile("btrl $0, %0" : "+m"(eoi_word), "=@ccc"(was_set) : : "memory");
    if (was_set) {
        eoi_counts.skipped = eoi_counts.skipped + 1;
    } else {
        if ((apic::in_service_bank(kReplyVector) & 1U << (kReplyVector & 31)) != 0)
            eoi_counts.in_service = eoi_counts.in_service + 1;
        apic::end_of_interrupt();
    }
}

}  // namespace

Text why_not_armed() {
    if (eoi_counts.interrupts == 0) return "not armed: no interrupt came";
    // KVM leaves it off with APICv, which ends interrupts by itself and shows them in service until then.
    if (eoi_counts.in_service == eoi_counts.interrupts) return "not armed: KVM leaves it off with APICv";
    return "not armed: the host ends interrupts itself";
}

void exercise_eoi(u32 count) {
    set_gate(kReplyVector, on_interrupt);
    write_msr(kEoiMsr, reinterpret_cast<u64>(&eoi_word) | 1);
    for (u32 n = 1; n <= count; ++n) {
        apic::send_ipi(0, apic::kIcrFixed | apic::kIcrSelf | kReplyVector);
        if (!halt_for(eoi_counts.interrupts, n, kArrivalMicroseconds)) break;
    }
    write_msr(kEoiMsr, 0);
}

}  // namespace guest::paravirt
