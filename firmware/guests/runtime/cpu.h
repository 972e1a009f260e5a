// SPDX-License-Identifier: Apache-2.0
// The processor's own instructions, one function each. Freestanding; ring 0, 64-bit.
//
// Ports and MSRs keep their numbers: the caller names them.
#pragma once

#include "vmm/error/ints.h"

namespace guest {

using mayfly::align_down;
using mayfly::align_up;
using mayfly::MiB;
using mayfly::u16;
using mayfly::u32;
using mayfly::u64;
using mayfly::u8;

inline void out8(u16 port, u8 value) { asm volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory"); }
inline void out16(u16 port, u16 value) { asm volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory"); }
inline void out32(u16 port, u32 value) { asm volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory"); }

inline u8 in8(u16 port) {
    u8 value;
    asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

inline u16 in16(u16 port) {
    u16 value;
    asm volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

inline u32 in32(u16 port) {
    u32 value;
    asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

inline u64 read_msr(u32 msr) {
    u32 low;
    u32 high;
    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
    return u64{high} << 32 | low;
}

inline void write_msr(u32 msr, u64 value) {
    asm volatile("wrmsr"
                 :
                 : "c"(msr), "a"(static_cast<u32>(value)), "d"(static_cast<u32>(value >> 32))
                 : "memory");
}

/// Plain RDTSC: interpreting hosts lack RDTSCP or fences, or gain nothing from them.
inline u64 read_tsc() {
    u32 low;
    u32 high;
    asm volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return u64{high} << 32 | low;
}

struct CpuidLeaf {
    u32 eax;
    u32 ebx;
    u32 ecx;
    u32 edx;
};

inline CpuidLeaf cpuid(u32 leaf, u32 subleaf) {
    CpuidLeaf r;
    asm volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}

inline void enable_interrupts() { asm volatile("sti" : : : "memory"); }
inline void disable_interrupts() { asm volatile("cli" : : : "memory"); }
inline void pause() { asm volatile("pause" : : : "memory"); }

/// STI's one-instruction shadow covers the HLT: an interrupt cannot slip in between.
inline void halt_with_interrupts() { asm volatile("sti; hlt; cli" : : : "memory"); }

/// SAFETY of both: `address` is mapped (map_address(), or one of the places that entry.S maps).
inline u32 mmio_read(u64 address) { return *reinterpret_cast<const volatile u32*>(address); }
inline void mmio_write(u64 address, u32 value) { *reinterpret_cast<volatile u32*>(address) = value; }

extern "C" {
[[noreturn]] void exit_guest(u32 code);
[[noreturn]] void enter_ring3(void (*function)());
}

/// Maps the 2 MiB around a physical address at the same virtual address.
void map_address(u64 address);

/// A boot mark: the monitor puts it on its timeline.
inline void mark(u8 value) { out8(0x80, value); }

constexpr u16 kSerialPort = 0x3f8;

}  // namespace guest
