// SPDX-License-Identifier: Apache-2.0
// Display: how text is laid out for the reader of a descriptor.
//
// Thread: any.
#pragma once

#include "vmm/error/ints.h"

namespace mayfly {

struct Display {
    static constexpr u32 kColumns = 80;  ///< of a file or a pipe, and the most on a terminal

    u32 columns = kColumns;  ///< less on a narrower terminal
    bool is_terminal = false;
    bool is_dumb = true;  ///< not a terminal, or one that TERM says knows no escape sequences
    /// Escape sequences of ours are welcome: it is not dumb, and NO_COLOR (https://no-color.org) does not say
    /// otherwise.
    bool has_escapes = false;
};

[[nodiscard]] Display display_of(int fd);

}  // namespace mayfly
