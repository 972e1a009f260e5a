// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/pvpanic.h"

namespace mayfly {

namespace {

constexpr u8 kPanicked = 0x01;
constexpr u8 kCrashLoaded = 0x02;

}  // namespace

Pvpanic::Pvpanic(VerdictSink& verdicts) : verdicts_(verdicts) { reset(); }

void Pvpanic::reset() { state_ = State{}; }

u64 Pvpanic::io_read(IoAccess at) {
    return at.size_bytes == 1 ? kPanicked | kCrashLoaded : all_ones(at.size_bytes);
}

void Pvpanic::io_write(IoAccess at, u64 value) {
    if (at.size_bytes != 1) return;
    if ((value & kCrashLoaded) != 0) state_.is_crash_loaded = true;
    if ((value & kPanicked) != 0) verdicts_.decide(Verdict::Panic, value);
}

}  // namespace mayfly
