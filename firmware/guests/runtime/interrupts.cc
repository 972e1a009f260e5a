// SPDX-License-Identifier: Apache-2.0
// Gates, and the report of an exception that nobody expected.
#include "firmware/guests/runtime/interrupts.h"

#include "firmware/guests/runtime/report.h"

namespace guest {
namespace {

/// Intel SDM Vol. 3A §6.14.1 "64-Bit Mode IDT".
struct Gate {
    u16 offset_low;
    u16 selector;
    u16 type;  // 0x8e00: present, ring 0, interrupt gate
    u16 offset_middle;
    u64 offset_high;
};
static_assert(sizeof(Gate) == 16);

/// What entry.S and the CPU push.
struct Fault {
    u64 vector;
    u64 error_code;
    u64 rip;
};

}  // namespace

extern "C" {

extern Gate idt[64];
[[noreturn]] void on_fault(const Fault* fault);

void on_fault(const Fault* fault) {
    Line line;
    line.add("FAIL exception ").add_decimal(fault->vector).add(" at ").add_hex(fault->rip);
    line.add(", error code ").add_hex(fault->error_code).print_line();
    exit_guest(kFaultExit);
}

}  // extern "C"

void set_gate(u8 vector, InterruptHandler handler) {
    const u64 target = reinterpret_cast<u64>(handler);
    Gate& gate = idt[vector & 63];
    gate.offset_low = static_cast<u16>(target);
    gate.offset_middle = static_cast<u16>(target >> 16);
    gate.selector = 0x08;
    gate.type = 0x8e00;
}

}  // namespace guest
