// SPDX-License-Identifier: Apache-2.0
// Ring 3's port accesses, carried out in ring 0.
// Spec: Intel SDM volume 2 "IN", "OUT", "OUTS" (opcodes).
#include "firmware/guests/runtime/user.h"

#include "firmware/guests/runtime/clock.h"

namespace guest {
namespace {

/// What user.S and the CPU push.
struct UserFrame {
    u64 r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax;
    u64 error_code;
    u64 rip, cs, flags, rsp, ss;
};

constexpr u8 kOperandSize = 0x66;
constexpr u8 kRepeat = 0xf3;
constexpr u8 kOutsByte = 0x6e;

void write_port(u16 port, u32 width, u64 value) {
    switch (width) {
        case 1: return out8(port, static_cast<u8>(value));
        case 2: return out16(port, static_cast<u16>(value));
        default: return out32(port, static_cast<u32>(value));
    }
}

void read_port(u16 port, u32 width, u64& rax) {
    switch (width) {
        case 1: rax = (rax & ~u64{0xff}) | in8(port); break;
        case 2: rax = (rax & ~u64{0xffff}) | in16(port); break;
        default: rax = in32(port); break;
    }
}

}  // namespace

extern "C" {

bool access_port_for_user(UserFrame* frame);
void on_user_protection(InterruptFrame* frame);
[[noreturn]] void start_user(u32 (*main)());

/// False when the instruction is not a port access.
bool access_port_for_user(UserFrame* frame) {
    // SAFETY: ring 3 was executing here, so that it is mapped; this guest's ring 3 is its own code.
    const auto* code = reinterpret_cast<const volatile u8*>(frame->rip);
    u64 at = 0;
    u8 opcode = code[at++];
    if (opcode == kRepeat && code[at] == kOutsByte) {
        asm volatile("rep outsb" : "+S"(frame->rsi), "+c"(frame->rcx) : "d"(frame->rdx) : "memory");
        frame->rip += at + 1;
        return true;
    }
    u32 width = 4;
    if (opcode == kOperandSize) {
        width = 2;
        opcode = code[at++];
    }
    if ((opcode & 0xf4) != 0xe4) return false;
    if ((opcode & 1) == 0) width = 1;
    u16 port = static_cast<u16>(frame->rdx);
    if ((opcode & 8) == 0) port = code[at++];
    if ((opcode & 2) != 0) {
        write_port(port, width, frame->rax);
    } else {
        read_port(port, width, frame->rax);
    }
    frame->rip += at;
    return true;
}

}  // extern "C"

void run_user(u32 (*main)()) {
    constexpr u8 kProtectionVector = 13;
    set_gate(kProtectionVector, on_user_protection);
    static_cast<void>(tsc_ticks(1));  // CPUID is asked here: in ring 3 it may be the host's own
    start_user(main);
}

bool spin_for(const volatile u32& counter, u32 wanted, u32 microseconds_max) {
    const u64 end = read_tsc() + tsc_ticks(microseconds_max);
    while (counter < wanted && read_tsc() < end) pause();
    return counter >= wanted;
}

void spin(u32 microseconds) {
    const u64 end = read_tsc() + tsc_ticks(microseconds);
    while (read_tsc() < end) pause();
}

}  // namespace guest
