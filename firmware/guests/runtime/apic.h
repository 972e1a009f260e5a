// SPDX-License-Identifier: Apache-2.0
// The local APIC in both its modes. Registers carry their xAPIC offset.
//
// Spec: Intel SDM volume 3 chapter "Advanced Programmable Interrupt Controller (APIC)": section
// "The Local APIC Block Diagram" (offsets) and section "Extended XAPIC (x2APIC)" (MSRs).
#pragma once

#include "firmware/guests/runtime/interrupts.h"

namespace guest::apic {

enum class Register : u32 {
    Id = 0x20,
    Version = 0x30,
    TaskPriority = 0x80,
    ProcessorPriority = 0xa0,
    EndOfInterrupt = 0xb0,
    SpuriousVector = 0xf0,
    InService = 0x100,
    Request = 0x200,
    InterruptCommand = 0x300,
    TimerEntry = 0x320,
    Lint0Entry = 0x350,
    TimerInitialCount = 0x380,
    TimerCurrentCount = 0x390,
    TimerDivide = 0x3e0,
};

constexpr u32 kBaseMsr = 0x1b;
constexpr u64 kBaseAddress = 0xfee0'0000;
constexpr u64 kBaseEnabled = 1 << 11;
constexpr u64 kBaseX2Apic = 1 << 10;
constexpr u32 kDeadlineMsr = 0x6e0;

constexpr u32 kMasked = 1 << 16;
constexpr u32 kTimerPeriodic = 1 << 17;
constexpr u32 kTimerDeadline = 2 << 17;
constexpr u32 kDivideBy1 = 0xb;
constexpr u32 kDeliverExtInt = 7 << 8;

// The low half of the interrupt command register.
constexpr u32 kIcrFixed = 1 << 14;  // level: assert, as software should always set it
constexpr u32 kIcrNmi = 1 << 14 | 4 << 8;
constexpr u32 kIcrInit = 1 << 14 | 5 << 8;
constexpr u32 kIcrStartUp = 1 << 14 | 6 << 8;
constexpr u32 kIcrSelf = 1 << 18;
constexpr u32 kIcrAllButSelf = 3 << 18;

/// What enable() chose; per machine, as all processors are put in the same mode.
extern bool is_x2apic;

[[nodiscard]] bool has_x2apic();
/// Enables this processor's APIC, in x2APIC mode where the CPU has it, with the spurious vector
/// set.
void enable();
/// The same in a mode of the caller's choice.
void enable_in(bool x2apic);

inline u32 read(Register reg) {
    const u32 offset = static_cast<u32>(reg);
    if (is_x2apic) return static_cast<u32>(read_msr(0x800 + (offset >> 4)));
    return mmio_read(kBaseAddress + offset);
}

inline void write(Register reg, u32 value) {
    const u32 offset = static_cast<u32>(reg);
    if (is_x2apic) {
        write_msr(0x800 + (offset >> 4), value);
    } else {
        mmio_write(kBaseAddress + offset, value);
    }
}

inline void end_of_interrupt() { write(Register::EndOfInterrupt, 0); }

[[nodiscard]] u32 id();
/// Sends an interrupt; with a shorthand in `command` the destination is ignored.
void send_ipi(u32 destination, u32 command);

/// The in-service register's 32 bits around `vector`. A few hosts without interrupt hardware end
/// interrupts when they deliver them: there no handler ever sees its own bit.
inline u32 in_service_bank(u8 vector) {
    return read(static_cast<Register>(static_cast<u32>(Register::InService) + (vector >> 5) * 0x10U));
}

/// A handler that counts and acknowledges.
template <volatile u32& kCounter>
[[gnu::interrupt]] void count_interrupt(InterruptFrame* /*frame*/) {
    kCounter = kCounter + 1;
    end_of_interrupt();
}

}  // namespace guest::apic
