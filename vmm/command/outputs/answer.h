// SPDX-License-Identifier: Apache-2.0
// What a command says itself, not its guest: an error on stderr, or the answer on stdout.
//
// Thread: any.
#pragma once

#include <string_view>

#include "vmm/error/error.h"

namespace mayfly {

/// Prints the one line that an Error is, and returns 125, or 127 for NotFound.
int print_error(const Error& error);

/// Writes what was asked for on stdout. Returns 0, or 125 when it could not be written.
int print_result(std::string_view text);

/// The same for a text whose reader may leave when it has seen enough, as head(1) does: that is not told, and
/// has the status of SIGPIPE where that is ignored.
int print_help(std::string_view text);

}  // namespace mayfly
