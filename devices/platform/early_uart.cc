// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/early_uart.h"

#include "devices/io/bytewise.h"

namespace mayfly {

u64 EarlyUart::io_read(IoAccess at) {
    return read_bytewise(at, [](u64 offset) { return kRegisters[offset]; });
}

void EarlyUart::io_write(IoAccess at, u64 value) {
    if (at.offset_bytes != kTransmit) return;
    ++state_.bytes_out;
    sink_.put(static_cast<u8>(value));
}

}  // namespace mayfly
