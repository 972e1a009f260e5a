// SPDX-License-Identifier: Apache-2.0
// ipi: start-up of all processors, fixed IPIs to each and back, all-but-self, NMI.
#include "firmware/guests/runtime/apic.h"
#include "firmware/guests/runtime/clock.h"
#include "firmware/guests/runtime/processors.h"
#include "firmware/guests/runtime/report.h"

namespace guest {
namespace {


constinit volatile u32 replies = 0;
constinit volatile u32 replies_by_id[kProcessorsMax] = {};
constinit volatile u32 nmis = 0;

/// On an application processor: counts the IPI, then answers by an IPI.
[[gnu::interrupt]] void on_request(InterruptFrame* /*frame*/) {
    const u32 self = apic::id() & (kProcessorsMax - 1);
    replies_by_id[self] = replies_by_id[self] + 1;
    apic::end_of_interrupt();
    apic::send_ipi(0, apic::kIcrFixed | kReplyVector);
}

[[gnu::interrupt]] void on_nmi(InterruptFrame* /*frame*/) {
    asm volatile("lock incl %0" : "+m"(nmis) : : "memory");
}

void on_start(u32 /*apic_id*/) { serve_interrupts(); }

u32 sum_of_requests() {
    u32 sum = 0;
    for (u32 id = 1; id < kProcessorsMax; ++id) sum += replies_by_id[id];
    return sum;
}

void check_each(u32 processors) {
    u32 answered = 0;
    for (u32 id = 1; id < processors; ++id) {
        apic::send_ipi(id, apic::kIcrFixed | kIpiVector);
        answered += poll_for(replies, id, kArrivalMicroseconds) && replies_by_id[id] == 1 ? 1 : 0;
    }
    expect_equal("each answers", processors - 1, answered);
}

void check_all_but_self(u32 processors) {
    apic::send_ipi(0, apic::kIcrFixed | apic::kIcrAllButSelf | kIpiVector);
    // Answers of several processors may merge in one request bit; the counts of what each took do not.
    const u64 end = read_tsc() + tsc_ticks(kArrivalMicroseconds);
    while (sum_of_requests() < 2 * (processors - 1) && read_tsc() < end) listen_for(1);
    expect_equal("all but self", 2 * (processors - 1), sum_of_requests());
    expect_equal("none to self", 0, replies_by_id[0]);
}

}  // namespace
}  // namespace guest

extern "C" guest::u32 guest_main() {
    using namespace guest;
    set_gate(kIpiVector, on_request);
    set_gate(kReplyVector, apic::count_interrupt<replies>);
    set_gate(kNmiVector, on_nmi);
    apic::enable();
    const u32 processors = processors_expected();
    expect_equal("started", processors, start_processors(processors, on_start));
    if (failure_count() == 0 && processors > 1) {
        check_each(processors);
        check_all_but_self(processors);
        apic::send_ipi(1, apic::kIcrNmi);
        poll_for(nmis, 1, kArrivalMicroseconds);
        expect_equal("nmi", 1, nmis);
    }
    return failure_count();
}
