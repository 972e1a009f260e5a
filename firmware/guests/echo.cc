// SPDX-License-Identifier: Apache-2.0
// echo: prints "ready", then echoes serial input until 'q'. Polls each millisecond, or with `irq`
// takes the UART's interrupt, IRQ 4, through IOAPIC pin 4 (legacy profile).
//
// Spec: PC16550D §8.0 "Registers".
#include "firmware/guests/runtime/apic.h"
#include "firmware/guests/runtime/boot_info.h"
#include "firmware/guests/runtime/clock.h"
#include "firmware/guests/runtime/legacy.h"

namespace guest {
namespace {

constexpr u16 kInterruptEnable = kSerialPort + 1;
constexpr u16 kFifoControl = kSerialPort + 2;
constexpr u16 kModemControl = kSerialPort + 4;
constexpr u16 kLineStatus = kSerialPort + 5;
constexpr u8 kDataReady = 1;
constexpr u32 kSerialPin = 4;
constexpr u32 kPollMicroseconds = 1000;

constinit volatile u32 interrupts = 0;
constinit volatile u32 timer_interrupts = 0;

/// Echoes the input that has come; false after a 'q'.
bool echo_available() {
    while ((in8(kLineStatus) & kDataReady) != 0) {
        const u8 c = in8(kSerialPort);
        if (c == 'q') return false;
        out8(kSerialPort, c);
    }
    return true;
}

void echo_by_interrupt() {
    set_gate(kPinVector, apic::count_interrupt<interrupts>);
    pic::initialize(kPicVector);
    ioapic::write_pin(kSerialPin, kPinVector);
    out8(kFifoControl, 0x07);
    out8(kModemControl, 0x0b);
    out8(kInterruptEnable, 0x01);
    print("ready\n");
    // Interrupts are off outside of HLT: an edge between the last read and the HLT stays pending in
    // the APIC.
    while (echo_available()) halt_with_interrupts();
    out8(kInterruptEnable, 0);
    Line{}.add("\n").add(interrupts != 0 ? Text("ok irq") : Text("FAIL irq: none came")).print_line();
    exit_guest(interrupts != 0 ? 0 : 1);
}

void echo_by_polling() {
    set_gate(kTimerVector, apic::count_interrupt<timer_interrupts>);
    apic::write(apic::Register::TimerEntry, kTimerVector);
    apic::write(apic::Register::TimerDivide, apic::kDivideBy1);
    const u32 ticks = apic_ticks(kPollMicroseconds);
    print("ready\n");
    while (echo_available()) {
        apic::write(apic::Register::TimerInitialCount, ticks);
        halt_with_interrupts();
    }
    print("\nok\n");
}

}  // namespace
}  // namespace guest

extern "C" guest::u32 guest_main() {
    using namespace guest;
    apic::enable();
    if (has_option("irq")) {
        echo_by_interrupt();
    } else {
        echo_by_polling();
    }
    return 0;
}
