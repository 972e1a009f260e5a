// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/init_port.h"

namespace mayfly {

InitPort::InitPort(InitPortSink& sink) : sink_(sink) { reset(); }

void InitPort::reset() { state_ = State{}; }

u64 InitPort::io_read(IoAccess at) { return all_ones(at.size_bytes); }

void InitPort::io_write(IoAccess at, u64 value) {
    if (at.offset_bytes < kDoorbellOffset) {
        if (at.size_bytes > kDoorbellOffset - at.offset_bytes) return;
        state_.frame = with_bytes(state_.frame, at, value);
        if (at.offset_bytes + at.size_bytes == kDoorbellOffset) sink_.on_open(state_.frame);
        return;
    }
    if (at.size_bytes != 1) return;
    if (at.offset_bytes == kDoorbellOffset) return sink_.on_doorbell(static_cast<u8>(value));
    if (at.offset_bytes == kTextOffset) sink_.on_text(static_cast<u8>(value));
}

}  // namespace mayfly
