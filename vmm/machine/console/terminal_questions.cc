// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/console/terminal_questions.h"

#include <algorithm>
#include <string_view>

namespace mayfly {

namespace {

constexpr u8 kEscape = 0x1b;
constexpr u8 kBell = 0x07;
/// Final bytes of control sequences that xterm or kitty answer: DA, DSR, DECRQM, window reports, keyboard
/// flags, DECREQTPARM, XTVERSION.
constexpr std::string_view kAnswered = "cnptuxq";
constexpr std::size_t kNone = std::string_view::npos;

}  // namespace

bool TerminalQuestions::step(u8 byte) {
    const State before = state_;
    state_ = State::Text;
    if (byte == kEscape) {
        state_ = State::Escape;
        return false;
    }
    switch (before) {
        case State::Text: return false;
        case State::Escape:
            if (byte == '[') state_ = State::Control;
            if (byte == ']' || byte == 'P') state_ = State::String;
            return byte == 'Z';  // DECID
        case State::Control:
            if (byte < 0x20 || byte >= 0x40) return kAnswered.find(static_cast<char>(byte)) != kNone;
            state_ = State::Control;
            return false;
        case State::String:
            if (byte != kBell) state_ = State::String;
            // "]10;?" asks for a colour, "P$q" and "P+q" for a setting.
            return byte == '?' || byte == 'q';
    }
    return false;
}

bool TerminalQuestions::take(std::span<const u8> bytes) {
    bool has_any = false;
    auto next = bytes.begin();
    while (next != bytes.end()) {
        if (state_ == State::Text) next = std::find(next, bytes.end(), kEscape);
        if (next != bytes.end()) has_any |= step(*next++);
    }
    return has_any;
}

}  // namespace mayfly
