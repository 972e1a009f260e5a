// SPDX-License-Identifier: Apache-2.0
// speed: how long ring 0 takes for 1000 instructions, in TSC ticks. A processor needs a few
// hundred; KVM's interpreter a few million. The number goes to the test device's scratch register,
// then in text to serial.
#include "devices/platform/test_device_spec.h"
#include "firmware/guests/runtime/report.h"

extern "C" guest::u32 guest_main() {
    using namespace guest;
    constexpr u32 kInstructions = 1000;
    u32 rounds = kInstructions / 2;
    const u64 start = read_tsc();
    asm volatile("1: sub $1, %0; jnz 1b" : "+r"(rounds));
    const u64 ticks = read_tsc() - start;
    out32(MAYFLY_TESTDEV_SCRATCH, ticks > 0xffff'ffff ? 0xffff'ffff : static_cast<u32>(ticks));
    Line{}
        .add("ring0 ")
        .add_decimal(kInstructions)
        .add(" instructions ")
        .add_decimal(ticks)
        .add(" ticks")
        .print_line();
    return 0;
}
