// SPDX-License-Identifier: Apache-2.0
// A PC's interrupt controllers besides the local APIC: two 8259s and the IOAPIC.
//
// Spec: Intel 8259A data sheet (order 231468) "Initialization Command Words" and "Operation Command
// Words"; Intel 82093AA (290566) §3.0 "Register Description".
#pragma once

#include "firmware/guests/runtime/cpu.h"

namespace guest::pic {

constexpr u16 kMaster = 0x20;
constexpr u16 kSlave = 0xa0;
constexpr u8 kReadRequests = 0x0a;   // OCW3
constexpr u8 kReadInService = 0x0b;  // OCW3

constexpr u16 kEdgeLevelControl = 0x4d0;

/// ICW1 to ICW4: edge triggered (also where a BIOS chose levels), slave on IRQ 2, `vector` and
/// `vector` + 8; then everything masked.
inline void initialize(u8 vector) {
    out8(kMaster, 0x11);
    out8(kMaster + 1, vector);
    out8(kMaster + 1, 1 << 2);
    out8(kMaster + 1, 1);
    out8(kMaster + 1, 0xff);
    out8(kSlave, 0x11);
    out8(kSlave + 1, static_cast<u8>(vector + 8));
    out8(kSlave + 1, 2);
    out8(kSlave + 1, 1);
    out8(kSlave + 1, 0xff);
    out8(kEdgeLevelControl, 0);
    out8(kEdgeLevelControl + 1, 0);
}

/// A set bit masks that IRQ; bits 8 to 15 are the slave's.
inline void set_mask(u16 mask) {
    out8(kMaster + 1, static_cast<u8>(mask));
    out8(kSlave + 1, static_cast<u8>(mask >> 8));
}

/// Non-specific end of interrupt.
inline void end_of_interrupt(u16 chip) { out8(chip, 0x20); }

/// The request or in-service register of one chip.
inline u8 read_register(u16 chip, u8 which) {
    out8(chip, which);
    return in8(chip);
}

}  // namespace guest::pic

namespace guest::ioapic {

constexpr u64 kBase = 0xfec0'0000;
constexpr u32 kVersion = 1;
constexpr u32 kRemoteIrr = 1 << 14;
constexpr u32 kLevel = 1 << 15;
constexpr u32 kMasked = 1 << 16;

inline u32 read(u32 index) {
    mmio_write(kBase, index);
    return mmio_read(kBase + 0x10);
}

inline void write(u32 index, u32 value) {
    mmio_write(kBase, index);
    mmio_write(kBase + 0x10, value);
}

inline u32 read_pin(u32 pin) { return read(0x10 + pin * 2); }

/// Low half of a redirection entry: vector, mode and mask bits; the destination is APIC id 0.
inline void write_pin(u32 pin, u32 entry) { write(0x10 + pin * 2, entry); }

}  // namespace guest::ioapic
