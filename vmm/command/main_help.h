// SPDX-License-Identifier: Apache-2.0
// What mayfly says of itself as a whole: its commands, its built-in guests, and a command that it lacks.
//
// Thread: the main thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "vmm/error/result.h"

namespace mayfly {

/// `mayfly --help`, in `columns`.
[[nodiscard]] std::string main_help(std::size_t columns);

/// `mayfly boot --list`: a line or more for each built-in guest.
[[nodiscard]] std::string guest_list(std::size_t columns);

/// `mayfly help COMMAND` as `mayfly COMMAND --help`, and a null pointer behind. Pointers into `argv`. Errors:
/// Invalid for more words than a command has.
Result<std::vector<char*>> help_words(int argc, char** argv);

/// Of a command that does not exist, or of none.
Error refused_command(std::string_view command);

}  // namespace mayfly
