// SPDX-License-Identifier: Apache-2.0
// Frequencies and bounded waits.
#include "firmware/guests/runtime/clock.h"

#include "firmware/guests/runtime/apic.h"

namespace guest {
namespace {

constexpr u32 kLeafMax = 0x4000'0000;
constexpr u32 kLeafTiming = 0x4000'0010;
constexpr u32 kAssumedTscKhz = 3'000'000;
constexpr u32 kAssumedApicKhz = 1'000'000;
constexpr u32 kApicTicksMax = 0xffff'ffff;  // 4.3 s at 1 GHz

constinit volatile u32 alarms = 0;

}  // namespace

HostFrequencies host_frequencies() {
    if (cpuid(kLeafMax, 0).eax < kLeafTiming) return {0, 0};
    const CpuidLeaf leaf = cpuid(kLeafTiming, 0);
    return {leaf.eax, leaf.ebx};
}

u64 tsc_ticks(u32 microseconds) {
    static constinit u32 khz = 0;
    if (khz == 0) khz = host_frequencies().tsc_khz;
    if (khz == 0) khz = kAssumedTscKhz;
    return u64{microseconds} * khz / 1000;
}

u32 apic_ticks(u32 microseconds) {
    static constinit u32 khz = 0;
    if (khz == 0) khz = host_frequencies().apic_khz;
    if (khz == 0) khz = kAssumedApicKhz;
    const u64 ticks = u64{microseconds} * khz / 1000;
    return ticks < kApicTicksMax ? static_cast<u32>(ticks) : kApicTicksMax;
}

bool halt_for(const volatile u32& counter, u32 wanted, u32 microseconds_max) {
    alarms = 0;
    set_gate(kAlarmVector, apic::count_interrupt<alarms>);
    apic::write(apic::Register::TimerEntry, kAlarmVector);
    apic::write(apic::Register::TimerDivide, apic::kDivideBy1);
    apic::write(apic::Register::TimerInitialCount, apic_ticks(microseconds_max));
    while (counter < wanted && alarms == 0) halt_with_interrupts();
    apic::write(apic::Register::TimerInitialCount, 0);
    return counter >= wanted;
}

bool poll_for(const volatile u32& counter, u32 wanted, u32 microseconds_max) {
    const u64 end = read_tsc() + tsc_ticks(microseconds_max);
    enable_interrupts();
    while (counter < wanted && read_tsc() < end) visit_host();
    disable_interrupts();
    return counter >= wanted;
}

void listen_for(u32 microseconds) {
    const u64 end = read_tsc() + tsc_ticks(microseconds);
    enable_interrupts();
    do visit_host();
    while (read_tsc() < end);
    disable_interrupts();
}

}  // namespace guest
