// SPDX-License-Identifier: Apache-2.0
// demo: what the quickstart boots. Proves the machine's interrupts and timers, a line of evidence
// for each.
//
// Boot marks: 1 at the start, then one more before each part. Exits with the number of parts that
// failed.
#include "firmware/guests/runtime/boot_info.h"
#include "firmware/guests/runtime/clock.h"
#include "firmware/guests/runtime/paravirt.h"
#include "firmware/guests/runtime/processors.h"
#include "firmware/guests/runtime/test_device.h"

namespace guest {
namespace {

constexpr u32 kTimerMicroseconds = 300;
constexpr u32 kMessages = 4;
constexpr u32 kDoorbells = 8;
constexpr u32 kEois = 8;
constexpr u64 kEvidenceColumn = 30;

constinit volatile u32 replies = 0;
constinit volatile u32 messages = 0;
constinit volatile u32 timer_count = 0;
constinit volatile u64 timer_tsc = 0;
alignas(64) constinit paravirt::SystemTime system_time{};
constinit u32 parts_failed = 0;
constinit u8 next_mark = 1;

[[gnu::interrupt]] void on_timer(InterruptFrame* /*frame*/) {
    timer_tsc = read_tsc();
    timer_count = timer_count + 1;
    apic::end_of_interrupt();
}

[[gnu::interrupt]] void on_request(InterruptFrame* /*frame*/) {
    apic::end_of_interrupt();
    apic::send_ipi(0, apic::kIcrFixed | kReplyVector);
}

void on_start(u32 /*apic_id*/) { serve_interrupts(); }

/// One row: verdict, name, evidence.
class Row final {
  public:
    Row(bool good, Text name) {
        if (!good) ++parts_failed;
        line_.add(good ? Text("  ok    ") : Text("  FAIL  ")).add(name).pad_to(kEvidenceColumn);
    }
    Line& evidence() { return line_; }
    ~Row() { line_.print_line(); }
    Row(const Row&) = delete;
    Row& operator=(const Row&) = delete;

  private:
    Line line_;
};

void show_processors(u32 expected, u32 running) {
    Row row(running == expected, "processors");
    row.evidence().add_decimal(running).add(" of ").add_decimal(expected).add(" started");
}

void show_apic() {
    Row row(apic::id() == 0, "local APIC");
    row.evidence().add(apic::is_x2apic ? Text("x2APIC mode") : Text("xAPIC mode, x2APIC not offered"));
}

void show_timer() {
    apic::write(apic::Register::TimerEntry, kTimerVector | apic::kTimerDeadline);
    const u64 deadline = read_tsc() + tsc_ticks(kTimerMicroseconds);
    write_msr(apic::kDeadlineMsr, deadline);
    const bool fired = poll_for(timer_count, 1, kArrivalMicroseconds) && timer_tsc >= deadline;
    Row row(fired, "TSC-deadline timer");
    if (fired) {
        row.evidence()
            .add("fired ")
            .add_decimal((timer_tsc - deadline) / tsc_ticks(1))
            .add(" us after its deadline");
    } else {
        row.evidence().add(timer_count == 0 ? Text("did not fire") : Text("fired early"));
    }
}

void show_ipis(u32 running) {
    u32 answered = 0;
    for (u32 id = 1; id < running; ++id) {
        apic::send_ipi(id, apic::kIcrFixed | kIpiVector);
        if (halt_for(replies, answered + 1, kArrivalMicroseconds)) ++answered;
    }
    if (running == 1) {
        apic::send_ipi(0, apic::kIcrFixed | apic::kIcrSelf | kReplyVector);
        const bool came = halt_for(replies, 1, kArrivalMicroseconds);
        Row row(came, "IPI");
        row.evidence().add(came ? Text("to self, arrived") : Text("to self, lost"));
        return;
    }
    Row row(answered == running - 1, "IPI");
    row.evidence().add_decimal(answered).add(" of ").add_decimal(running - 1).add(" processors answered");
}

void show_messages() {
    messages = 0;
    for (u32 n = 1; n <= kMessages; ++n) {
        test_device::act(MAYFLY_TESTDEV_SIGNAL_MSI);
        halt_for(messages, n, kArrivalMicroseconds);
    }
    Row row(messages == kMessages, "MSI, KVM_SIGNAL_MSI");
    row.evidence().add_decimal(messages).add(" of ").add_decimal(kMessages).add(" arrived");
}

void show_loopback() {
    messages = 0;
    test_device::act(MAYFLY_TESTDEV_LOOPBACK_ON);
    const u32 before = in32(MAYFLY_TESTDEV_DOORBELL_COUNT);
    for (u32 n = 1; n <= kDoorbells; ++n) {
        out8(MAYFLY_TESTDEV_DOORBELL, 1);
        halt_for(messages, n, kArrivalMicroseconds);
    }
    const u32 returns = in32(MAYFLY_TESTDEV_DOORBELL_COUNT) - before;
    test_device::act(MAYFLY_TESTDEV_LOOPBACK_OFF);
    Row row(messages == kDoorbells && returns == 0, "ioeventfd to irqfd");
    row.evidence().add_decimal(kDoorbells).add(" doorbells, ").add_decimal(messages).add(" interrupts, ");
    row.evidence().add_decimal(returns).add(" returns to user space");
}

void show_eoi() {
    if ((paravirt::features() & paravirt::kFeatureEoi) == 0) {
        Row row(false, "PV EOI");
        row.evidence().add("not offered");
        return;
    }
    paravirt::exercise_eoi(kEois);
    Row row(paravirt::eoi_counts.interrupts == kEois, "PV EOI");
    if (paravirt::eoi_counts.skipped == 0) {
        row.evidence().add(paravirt::why_not_armed());
    } else {
        row.evidence().add_decimal(paravirt::eoi_counts.skipped).add(" of ").add_decimal(kEois);
        row.evidence().add(" interrupts without an EOI write");
    }
}

void show_clock() {
    const bool is_offered = (paravirt::features() & paravirt::kFeatureClock) != 0;
    paravirt::ClockReading first{};
    paravirt::ClockReading second{};
    if (is_offered) {
        write_msr(paravirt::kSystemTimeMsr, reinterpret_cast<u64>(&system_time) | 1);
        visit_host();
        first = paravirt::read_clock(system_time);
        second = paravirt::read_clock(system_time);
        write_msr(paravirt::kSystemTimeMsr, 0);
    }
    {
        Row row(is_offered && second.time_ns > first.time_ns, "kvmclock");
        if (!is_offered) {
            row.evidence().add("not offered");
        } else {
            row.evidence().add(first.is_stable ? Text("stable, ") : Text("not stable, "));
            row.evidence().add_decimal(first.tsc_khz).add(" kHz");
        }
    }
    const u32 told = host_frequencies().tsc_khz;
    const u64 difference = first.tsc_khz > told ? first.tsc_khz - told : told - first.tsc_khz;
    Row row(told != 0 && difference <= told / 1000, "TSC frequency");
    row.evidence().add_decimal(told).add(" kHz by CPUID 0x40000010");
}

void step() { mark(next_mark++); }

}  // namespace
}  // namespace guest

extern "C" guest::u32 guest_main() {
    using namespace guest;
    step();
    Line{}.add("Hello from mayfly, entered by ").add(protocol_name()).print_line();
    set_gate(kTimerVector, on_timer);
    set_gate(kIpiVector, on_request);
    set_gate(kReplyVector, apic::count_interrupt<replies>);
    set_gate(kMsiVector, apic::count_interrupt<messages>);
    apic::enable();
    step();
    const u32 expected = processors_expected();
    const u32 running = start_processors(expected, on_start);
    show_processors(expected, running);
    show_apic();
    step();
    show_timer();
    step();
    show_ipis(running);
    step();
    if (test_device::is_present()) {
        test_device::set_msi(kMsiVector);
        show_messages();
        show_loopback();
    } else {
        print("  --    MSI                       not tried: no test device (--testdev)\n");
    }
    step();
    show_eoi();
    step();
    show_clock();
    step();
    if (parts_failed == 0) print("All passed.\n");
    return parts_failed;
}
