// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/debug_console.h"

namespace mayfly {

namespace {

constexpr u8 kPresence = 0xe9;

}  // namespace

DebugConsole::DebugConsole(ByteSink& sink) : sink_(sink) { reset(); }

void DebugConsole::reset() { state_ = State{}; }

u64 DebugConsole::io_read(IoAccess at) { return at.size_bytes == 1 ? kPresence : all_ones(at.size_bytes); }

void DebugConsole::io_write(IoAccess at, u64 value) {
    if (at.size_bytes != 1) return;
    ++state_.bytes_out;
    sink_.put(static_cast<u8>(value));
}

}  // namespace mayfly
