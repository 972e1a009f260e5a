// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/boot_timer.h"

namespace mayfly {

namespace {

/// Firecracker's MAGIC_VALUE_SIGNAL_GUEST_BOOT_COMPLETE.
constexpr u8 kBootComplete = 123;

}  // namespace

BootTimer::BootTimer(BootMarkSink& marks) : marks_(marks) { reset(); }

void BootTimer::reset() { state_ = State{}; }

u64 BootTimer::io_read(IoAccess at) { return all_ones(at.size_bytes); }

void BootTimer::io_write(IoAccess at, u64 value) {
    if (at.offset_bytes != 0 || at.size_bytes != 1 || value != kBootComplete) return;
    ++state_.marks;
    marks_.on_mark(kBootComplete);
}

}  // namespace mayfly
