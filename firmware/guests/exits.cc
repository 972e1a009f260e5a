// SPDX-License-Identifier: Apache-2.0
// exits: ends the machine in the way that the command line names, by default `exit=N` (with `port=P`).
#include "firmware/guests/runtime/boot_info.h"
#include "firmware/guests/runtime/interrupts.h"

namespace guest {
namespace {

// ACPI 6.5 §4.8.3.7 "Sleep Control and Status Registers", §4.8.3.2 "PM1 Control Grouping".
constexpr u16 kSleepControl = 0x610;
constexpr u8 kSleepControlS5 = 5 << 2 | 1 << 5;
constexpr u16 kPm1Control = 0x604;
constexpr u16 kPm1ControlS5 = 5 << 10 | 1 << 13;
constexpr u16 kPm1ControlQemu = 1 << 13;

constexpr u16 kResetControl = 0xcf9;
constexpr u16 kSystemControlA = 0x92;
constexpr u16 kKeyboardCommand = 0x64;
constexpr u8 kPulseResetLine = 0xfe;
constexpr u16 kPvpanic = 0x505;
constexpr u16 kExitPort = 0xf4;
/// No device answers here, so no instruction can be fetched.
constexpr u64 kWilderness = 0xc800'0000;

[[noreturn]] void triple_fault() {
    struct [[gnu::packed]] {
        u16 limit = 0;
        u64 base = 0;
    } const empty;
    asm volatile("lidt %0; ud2" : : "m"(empty));
    __builtin_unreachable();
}

void spin() {
    for (;;) pause();
}

/// KVM's emulator has no LDMXCSR; a processor does, once CR4.OSFXSR is set.
void execute_unusual() {
    constexpr u32 kMxcsrReset = 0x1f80;
    u64 cr4;
    asm volatile("mov %%cr4, %0; or $0x200, %0; mov %0, %%cr4" : "=&r"(cr4));
    asm volatile("ldmxcsr %0" : : "m"(kMxcsrReset));
    pass("ldmxcsr");
}

void power_off() {
    out8(kSleepControl, kSleepControlS5);
    out16(kPm1Control, kPm1ControlS5);
}

void reset() {
    out8(kKeyboardCommand, kPulseResetLine);
    out8(kResetControl, 6);
}

/// Returns only if the machine did not end.
void leave() {
    if (has_option("exit")) {
        out8(static_cast<u16>(option_value("port", kExitPort)), static_cast<u8>(option_value("exit", 0)));
    } else if (has_option("poweroff")) {
        power_off();
    } else if (has_option("sleepctl")) {
        out8(kSleepControl, kSleepControlS5);
    } else if (has_option("qemu-off")) {
        out16(kPm1Control, kPm1ControlQemu);
    } else if (has_option("reset")) {
        reset();
    } else if (has_option("i8042")) {
        out8(kKeyboardCommand, kPulseResetLine);
    } else if (has_option("cf9")) {
        out8(kResetControl, 6);
    } else if (has_option("port92")) {
        out8(kSystemControlA, 0x03);
    } else if (has_option("panic")) {
        out8(kPvpanic, 1);
    } else if (has_option("triple")) {
        triple_fault();
    } else if (has_option("hlt")) {
        for (;;) asm volatile("cli; hlt");
    } else if (has_option("spin")) {
        enter_ring3(spin);
    } else if (has_option("ud2")) {
        asm volatile("ud2");
    } else if (has_option("ud")) {
        execute_unusual();
        exit_guest(0);
    } else if (has_option("wild")) {
        // SAFETY: none intended.
        reinterpret_cast<void (*)()>(kWilderness)();
    }
}

}  // namespace
}  // namespace guest

extern "C" guest::u32 guest_main() {
    using namespace guest;
    leave();
    fail("exits: still running, or no such way out");
    return failure_count();
}
