// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/reset_control.h"

namespace mayfly {

namespace {

constexpr u8 kSysRst = 0x02;   // hard reset rather than CPU reset only; either ends the machine
constexpr u8 kRstCpu = 0x04;   // the transition from 0 to 1 resets
constexpr u8 kFullRst = 0x08;  // power cycle as well
constexpr u8 kWritable = kSysRst | kRstCpu | kFullRst;

}  // namespace

ResetControl::ResetControl(VerdictSink& verdicts) : verdicts_(verdicts) { reset(); }

void ResetControl::reset() { state_ = State{}; }

u64 ResetControl::io_read(IoAccess at) {
    return at.size_bytes == 1 ? state_.rst_cnt : all_ones(at.size_bytes);
}

void ResetControl::io_write(IoAccess at, u64 value) {
    if (at.size_bytes != 1) return;
    const bool was_set = (state_.rst_cnt & kRstCpu) != 0;
    state_.rst_cnt = static_cast<u8>(value) & kWritable;
    if (!was_set && (state_.rst_cnt & kRstCpu) != 0) verdicts_.decide(Verdict::Reset, 0);
}

bool ResetControl::restore(const State& state) {
    if ((state.rst_cnt & ~kWritable) != 0) return false;
    state_ = state;
    return true;
}

}  // namespace mayfly
