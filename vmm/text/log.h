// SPDX-License-Identifier: Apache-2.0
// Log lines on stderr, one write(2) each, prefixed "mayfly: ". stdout belongs to the guest.
// Thread: any; lines never interleave within themselves.
#pragma once

#include <string_view>

namespace mayfly::log {

/// -v. Set once, before threads start.
void set_verbose(bool is_verbose);
[[nodiscard]] bool is_verbose();

/// Always printed.
void error(std::string_view line);
void warning(std::string_view line);
/// Printed with -v only.
void info(std::string_view line);

/// As it is, by one write(2). Async-signal-safe.
void write_stderr(std::string_view text);

}  // namespace mayfly::log
