// SPDX-License-Identifier: Apache-2.0
// TerminalQuestions: whether a guest's console output asked the terminal a question, which the terminal
// answers as if it were typed: the cursor's place, its abilities, its colours.
//
// In doubt a sequence counts as a question. Control sequences as ECMA-48 has them, and those of xterm.
// Thread: one at a time.
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
