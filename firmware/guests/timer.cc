// SPDX-License-Identifier: Apache-2.0
// timer: the local APIC's timer: one-shot, periodic, TSC deadline; never early, and it ends HLT.
#include "firmware/guests/runtime/apic.h"
#include "firmware/guests/runtime/clock.h"
#include "firmware/guests/runtime/report.h"

namespace guest {
namespace {

/// Above KVM's least period of 200 us.
constexpr u32 kPeriodMicroseconds = 300;
constexpr u32 kPeriods = 4;
constexpr u32 kSettleMicroseconds = 50;

constinit volatile u32 fired = 0;
constinit volatile u64 fired_tsc = 0;

[[gnu::interrupt]] void on_timer(InterruptFrame* /*frame*/) {
    fired_tsc = read_tsc();
    fired = fired + 1;
    apic::end_of_interrupt();
}

/// The APIC timer counts nanoseconds of the host's clock: its TSC calibration may differ by this
/// much.
u64 with_tolerance(u64 ticks) { return ticks - ticks / 1000 - tsc_ticks(1); }

void check_one_shot() {
    fired = 0;
    apic::write(apic::Register::TimerEntry, kTimerVector);
    apic::write(apic::Register::TimerDivide, apic::kDivideBy1);
    const u64 start = read_tsc();
    apic::write(apic::Register::TimerInitialCount, apic_ticks(kPeriodMicroseconds));
    const u32 left = apic::read(apic::Register::TimerCurrentCount);
    const bool in_time = read_tsc() - start < with_tolerance(tsc_ticks(kPeriodMicroseconds));
    expect_between("one-shot counts down", in_time ? 1 : 0, apic_ticks(kPeriodMicroseconds), left);
    expect("one-shot fires", poll_for(fired, 1, kArrivalMicroseconds));
    expect("one-shot not early", fired_tsc - start >= with_tolerance(tsc_ticks(kPeriodMicroseconds)));
    listen_for(2 * kPeriodMicroseconds);
    expect_equal("one-shot fires once", 1, fired);
}

void check_periodic() {
    fired = 0;
    apic::write(apic::Register::TimerEntry, kTimerVector | apic::kTimerPeriodic);
    const u64 start = read_tsc();
    apic::write(apic::Register::TimerInitialCount, apic_ticks(kPeriodMicroseconds));
    expect("periodic fires", poll_for(fired, kPeriods, kArrivalMicroseconds));
    const u64 elapsed = fired_tsc - start;
    expect("periodic not early", elapsed >= with_tolerance(tsc_ticks(kPeriodMicroseconds) * kPeriods));
    apic::write(apic::Register::TimerInitialCount, 0);
    listen_for(kSettleMicroseconds);  // one that was on its way
    const u32 count = fired;
    listen_for(2 * kPeriodMicroseconds);
    expect_equal("periodic stops", count, fired);
}

void check_deadline() {
    if ((cpuid(1, 0).ecx & 1 << 24) == 0) return fail("deadline: CPUID does not offer it");
    apic::write(apic::Register::TimerEntry, kTimerVector | apic::kTimerDeadline);
    fired = 0;
    const u64 deadline = read_tsc() + tsc_ticks(kPeriodMicroseconds);
    write_msr(apic::kDeadlineMsr, deadline);
    const u64 read_back = read_msr(apic::kDeadlineMsr);
    // A host that put us aside in between has let the deadline pass, which disarms it.
    expect_equal("deadline reads back", read_tsc() < deadline ? deadline : read_back, read_back);
    expect("deadline fires", poll_for(fired, 1, kArrivalMicroseconds));
    expect("deadline not early", fired_tsc >= deadline);
    expect_equal("deadline disarmed", 0, read_msr(apic::kDeadlineMsr));

    write_msr(apic::kDeadlineMsr, read_tsc() - 1);
    expect("deadline in the past", poll_for(fired, 2, kArrivalMicroseconds));

    const u64 cancelled = read_tsc() + tsc_ticks(kPeriodMicroseconds);
    write_msr(apic::kDeadlineMsr, cancelled);
    write_msr(apic::kDeadlineMsr, 0);
    const bool in_time = read_tsc() < cancelled;  // a busy host may have put us aside in between
    listen_for(2 * kPeriodMicroseconds);
    expect("deadline cancelled", fired == 2 || !in_time);
    fired = 2;

    write_msr(apic::kDeadlineMsr, read_tsc() + tsc_ticks(kPeriodMicroseconds));
    while (fired < 3) halt_with_interrupts();
    pass("deadline ends hlt");
}

}  // namespace
}  // namespace guest

extern "C" guest::u32 guest_main() {
    using namespace guest;
    set_gate(kTimerVector, on_timer);
    apic::enable();
    check_one_shot();
    check_periodic();
    check_deadline();
    return failure_count();
}
