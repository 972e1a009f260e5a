// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/i8042.h"

namespace mayfly {

namespace {

constexpr u8 kNoController = 0xff;
constexpr u8 kWriteOutputPort = 0xd1;
/// Commands 0xf0-0xff pulse low those of output port bits 0-3 whose bit in the command is 0.
constexpr u8 kPulseOutputPort = 0xf0;
/// Output port bit 0: system reset, active low.
constexpr u8 kSystemReset = 0x01;

}  // namespace

I8042::I8042(VerdictSink& verdicts) : verdicts_(verdicts) { reset(); }

void I8042::reset() { state_ = State{}; }

u64 I8042::io_read(IoAccess at) {
    if (at.size_bytes != 1 || at.offset_bytes != kCommandOffset) return all_ones(at.size_bytes);
    if (++state_.status_reads < kStuckReads) return kNoController;
    state_.status_reads = 0;
    return 0;
}

void I8042::io_write(IoAccess at, u64 value) {
    if (at.size_bytes != 1) return;
    state_.status_reads = 0;
    if (at.offset_bytes == kDataOffset) write_data(static_cast<u8>(value));
    if (at.offset_bytes == kCommandOffset) write_command(static_cast<u8>(value));
}

void I8042::write_data(u8 value) {
    const bool is_output_port = state_.expects_output_port;
    state_.expects_output_port = false;
    if (is_output_port && (value & kSystemReset) == 0) verdicts_.decide(Verdict::Reset, 0);
}

void I8042::write_command(u8 value) {
    state_.expects_output_port = value == kWriteOutputPort;
    const bool is_pulse = (value & kPulseOutputPort) == kPulseOutputPort;
    if (is_pulse && (value & kSystemReset) == 0) verdicts_.decide(Verdict::Reset, 0);
}

}  // namespace mayfly
