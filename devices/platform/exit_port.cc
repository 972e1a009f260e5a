// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/exit_port.h"

namespace mayfly {

ExitPort::ExitPort(VerdictSink& verdicts, Form form) : verdicts_(verdicts), form_(form) { reset(); }

void ExitPort::reset() { state_ = State{}; }

u64 ExitPort::io_read(IoAccess /*at*/) {
    // QEMU's isa-debug-exit reads 0, by which a guest may detect the port: an absent port reads all ones.
    return 0;
}

void ExitPort::io_write(IoAccess at, u64 value) {
    if (at.offset_bytes >= kSizeBytes || at.size_bytes > kSizeBytes - at.offset_bytes) return;
    if (form_ == Form::Value) {
        // A write to one of the three ports beside it is a stray one and must not end the machine.
        if (at.offset_bytes != 0) return;
        ++state_.writes;
        return verdicts_.decide(Verdict::ExitCode, value);
    }
    ++state_.writes;
    state_.word = with_bytes(state_.word, at, value);
    if (at.offset_bytes + at.size_bytes == kSizeBytes) verdicts_.decide(Verdict::ExitCode, state_.word);
}

}  // namespace mayfly
