// SPDX-License-Identifier: Apache-2.0
// TerminalQuestions: whether a guest's console output asked the terminal something that it answers, by typing
// as it were: where the cursor is, what it can do, which colour it has.
//
// Too many are taken for questions rather than too few. Control sequences as ECMA-48 has them, and those of
// xterm. Thread: one at a time.
#pragma once

#include <span>

#include "vmm/error/ints.h"

namespace mayfly {

class TerminalQuestions {
  public:
    /// Whether the next bytes of the console ask something; a sequence may be cut anywhere.
    [[nodiscard]] bool take(std::span<const u8> bytes);

  private:
    enum class State : u8 { Text, Escape, Control, String };
    /// True at a question's last byte.
    bool step(u8 byte);

    State state_ = State::Text;
};

}  // namespace mayfly
