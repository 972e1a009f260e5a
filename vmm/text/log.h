// SPDX-License-Identifier: Apache-2.0
// Log lines on stderr, prefixed "mayfly: "; stdout belongs to the guest. Each is one write(2) where there is
// room, so that lines do not interleave within themselves. Thread: any.
#pragma once

#include <string_view>

namespace mayfly::log {

/// -v. Set once, before threads start.
void set_verbose(bool is_verbose);
[[nodiscard]] bool is_verbose();

/// stderr is a terminal in raw mode, where lines need a carriage return.
void set_raw_terminal(bool is_raw);

/// Always printed.
void notice(std::string_view line);
void error(std::string_view line);
void warning(std::string_view line);
/// Printed with -v only.
void info(std::string_view line);

/// Writes the text unchanged, by one write(2) where there is room. A non-blocking pipe gets a second for each
/// piece; the rest after that, or after a signal, is dropped. Async-signal-safe.
void write_stderr(std::string_view text);

}  // namespace mayfly::log
