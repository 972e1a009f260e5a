// SPDX-License-Identifier: Apache-2.0
// Splits a wide access into byte accesses, lowest address first: what the ISA bus does for an 8-bit device.
#pragma once

#include "devices/io/io_device.h"
#include "vmm/error/ints.h"

namespace mayfly {

/// `read_byte(u64 offset) -> u8`, called once per byte.
template <typename ReadByte>
[[nodiscard]] u64 read_bytewise(IoAccess at, ReadByte read_byte) {
    u64 value = 0;
    for (unsigned i = 0; i < at.size_bytes; ++i) value |= u64{read_byte(at.offset_bytes + i)} << (8 * i);
    return value;
}

/// `write_byte(u64 offset, u8 value)`, called once per byte.
template <typename WriteByte>
void write_bytewise(IoAccess at, u64 value, WriteByte write_byte) {
    for (unsigned i = 0; i < at.size_bytes; ++i) {
        write_byte(at.offset_bytes + i, static_cast<u8>(value >> (8 * i)));
    }
}

}  // namespace mayfly
