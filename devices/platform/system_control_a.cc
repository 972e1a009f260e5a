// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/system_control_a.h"

namespace mayfly {

namespace {

constexpr u8 kInitNow = 0x01;  // the transition from 0 to 1 resets
constexpr u8 kAltA20Gate = 0x02;

}  // namespace

void SystemControlA::reset() { state_ = State{}; }

u64 SystemControlA::io_read(IoAccess at) {
    return at.size_bytes == 1 ? state_.value : all_ones(at.size_bytes);
}

void SystemControlA::io_write(IoAccess at, u64 value) {
    if (at.size_bytes != 1) return;
    const bool was_set = (state_.value & kInitNow) != 0;
    state_.value = static_cast<u8>(value) & (kInitNow | kAltA20Gate);
    if (!was_set && (state_.value & kInitNow) != 0) verdicts_.decide(Verdict::Reset, 0);
}

bool SystemControlA::restore(const State& state) {
    if ((state.value & ~(kInitNow | kAltA20Gate)) != 0) return false;
    state_ = state;
    return true;
}

}  // namespace mayfly
