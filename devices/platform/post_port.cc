// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/post_port.h"

namespace mayfly {

PostPort::PostPort(BootMarkSink& marks) : marks_(marks) { reset(); }

void PostPort::reset() { state_ = State{}; }

u64 PostPort::io_read(IoAccess at) {
    if (at.offset_bytes != 0 || at.size_bytes > kSizeBytes) return all_ones(at.size_bytes);
    return state_.last_value & all_ones(at.size_bytes);
}

void PostPort::io_write(IoAccess at, u64 value) {
    // The ports beside it are DMA page registers, which nobody owns here.
    if (at.offset_bytes != 0 || at.size_bytes > kSizeBytes) return;
    state_.last_value = static_cast<u32>(value);
    ++state_.writes;
    marks_.on_mark(state_.last_value);
}

}  // namespace mayfly
