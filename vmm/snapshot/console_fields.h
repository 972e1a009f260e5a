// SPDX-License-Identifier: Apache-2.0
// The members of the state of the console, and of a program of --exec, for Encoder and Decoder.
#pragma once

#include "vmm/snapshot/chip_fields.h"
#include "vmm/snapshot/format/coded_types.h"
#include "vmm/snapshot/machine_state.h"

namespace mayfly {

// Each fields() names all members: one that is added does not compile until it is coded.

template <typename Coder>
void fields(Coder& coder, coded::As<KernelLogState> auto& state) {
    auto& [has_handed_over, next_id, seen_id, level] = state;
    coder(has_handed_over, next_id, seen_id, level);
}

template <typename Coder>
void fields(Coder& coder, coded::As<ConsoleState> auto& state) {
    auto& [log, early] = state;
    coder(log, early);
}

template <typename Coder>
void fields(Coder& coder, coded::As<ProgramChannelState> auto& state) {
    auto& [is_open, header_frame, frames, counts, messages_put] = state;
    coder(is_open, header_frame, frames, counts, messages_put);
}

template <typename Coder>
void fields(Coder& coder, coded::As<InitText> auto& text) {
    auto& [line, lines_shown] = text;
    coder(line, lines_shown);
}

template <typename Coder>
void fields(Coder& coder, coded::As<ProgramState> auto& state) {
    auto& [port, channel, held_input, text] = state;
    coder(port, channel, held_input, text);
}

}  // namespace mayfly
