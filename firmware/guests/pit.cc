// SPDX-License-Identifier: Apache-2.0
// pit: the 8254's channel 0 through IOAPIC pin 2, and channel 2 behind port 0x61. Needs the legacy
// profile. With the word "every" it checks that no tick is lost while interrupts are off. With "storm" it
// never ends: it sets the shortest period, over and over, and takes the interrupts that result.
//
// Spec: Intel 8254 data sheet (order 231164) "Mode 0: Interrupt on Terminal Count", "Mode 2: Rate
// Generator", "Counter Latch Command".
#include "firmware/guests/runtime/apic.h"
#include "firmware/guests/runtime/boot_info.h"
#include "firmware/guests/runtime/clock.h"
#include "firmware/guests/runtime/legacy.h"
#include "firmware/guests/runtime/report.h"

namespace guest {
namespace {

constexpr u16 kCommand = 0x43;
constexpr u16 kChannel0 = 0x40;
constexpr u16 kChannel2 = 0x42;
constexpr u16 kSystemControl = 0x61;
constexpr u8 kGate2 = 1;
constexpr u8 kOut2 = 1 << 5;
constexpr u32 kPin = 2;

/// 1193 ticks of 1.193182 MHz: 999.8 us.
constexpr u16 kMillisecondTicks = 1193;
constexpr u32 kMillisecondLeast = 998;
/// 5965 ticks: 4999.3 us.
constexpr u16 kSlowTicks = 5965;
constexpr u32 kSlowMicroseconds = 5000;
constexpr u32 kLatePeriods = 40;
constexpr u32 kPatiencePeriods = 1000;
constexpr u32 kOnTheirWay = 2;
constexpr u32 kTicks = 4;
constexpr u32 kOut2Milliseconds = 3;

constinit volatile u32 ticks = 0;

void load(u16 channel, u8 command, u16 count) {
    out8(kCommand, command);
    out8(channel, static_cast<u8>(count));
    out8(channel, static_cast<u8>(count >> 8));
}

u16 latch_channel0() {
    out8(kCommand, 0);
    const u8 low = in8(kChannel0);
    return static_cast<u16>(low | in8(kChannel0) << 8);
}

void check_channel0() {
    ioapic::write_pin(kPin, kPinVector);
    const u64 start = read_tsc();
    load(kChannel0, 0x34, kMillisecondTicks);
    expect_between("counts down", 1, kMillisecondTicks, latch_channel0());
    poll_for(ticks, kTicks, kArrivalMicroseconds);
    const u64 elapsed = read_tsc() - start;
    ioapic::write_pin(kPin, kPinVector | ioapic::kMasked);
    expect_between("periodic", kTicks, 2 * kTicks, ticks);
    expect("periodic not early", elapsed >= tsc_ticks(kMillisecondLeast) * (kTicks - 1));
}

/// As many ticks come as the TSC has counted, however long interrupts were off, or the guest off its CPU.
/// Late ticks may take a while; lost ones never come.
void check_every_tick() {
    const u32 before = ticks;
    const u64 period = tsc_ticks(kSlowMicroseconds);
    ioapic::write_pin(kPin, kPinVector);
    const u64 start = read_tsc();
    load(kChannel0, 0x34, kSlowTicks);
    while (read_tsc() - start < kLatePeriods * period) {
    }
    u64 missing = kLatePeriods;
    while (missing > kOnTheirWay && read_tsc() - start < kPatiencePeriods * period) {
        listen_for(kSlowMicroseconds / 4);
        const u64 due = (read_tsc() - start) / period;
        const u64 seen = ticks - before;
        missing = due > seen ? due - seen : 0;
    }
    ioapic::write_pin(kPin, kPinVector | ioapic::kMasked);
    expect_between("every tick: missing", 0, kOnTheirWay, missing);
}

[[noreturn]] void storm() {
    ioapic::write_pin(kPin, kPinVector);
    enable_interrupts();
    for (;;) load(kChannel0, 0x34, 1);
}

void check_channel2() {
    const u8 control = static_cast<u8>(in8(kSystemControl) & ~3);
    out8(kSystemControl, control | kGate2);
    const u64 start = read_tsc();
    load(kChannel2, 0xb0, kOut2Milliseconds * kMillisecondTicks);
    const u64 end = start + tsc_ticks(kArrivalMicroseconds);
    u64 elapsed = 0;
    do elapsed = read_tsc() - start;
    while ((in8(kSystemControl) & kOut2) == 0 && start + elapsed < end);
    // The clock was read before the port: the output rose after `elapsed` less one turn of the
    // loop.
    expect_equal("out2 high", kOut2, in8(kSystemControl) & kOut2);
    expect("out2 not early", read_tsc() - start >= tsc_ticks(kOut2Milliseconds * kMillisecondLeast));
    expect("out2 in time", elapsed < tsc_ticks(kArrivalMicroseconds));
}

}  // namespace
}  // namespace guest

extern "C" guest::u32 guest_main() {
    using namespace guest;
    set_gate(kPinVector, apic::count_interrupt<ticks>);
    pic::initialize(kPicVector);
    apic::enable();
    if (has_option("storm")) storm();
    if (has_option("every")) {
        check_every_tick();
        return failure_count();
    }
    check_channel0();
    check_channel2();
    return failure_count();
}
