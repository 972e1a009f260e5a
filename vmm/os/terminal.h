// SPDX-License-Identifier: Apache-2.0
// The terminal on stdin: raw while a guest owns it, and always put back.
//
// The saved settings are process-wide because the terminal is, and because signal handlers must restore it.
// Thread: the main thread switches; restore_terminal_at_once() may be called anywhere, also in signal
// handlers.
#pragma once

namespace mayfly {

enum class StdinKind : unsigned char {
    Stream,      ///< a pipe, a file, /dev/null
    Foreground,  ///< a terminal, and we are its foreground process group
    Background,  ///< a terminal that stops us when we read it
};

[[nodiscard]] StdinKind stdin_kind();

/// Off: for a guest whose terminal has done it. On: a guest's bare line feed still starts a new line.
enum class OutputProcessing : bool { Off, On };

/// Keys reach the guest one by one, Ctrl-C included. A fatal signal puts the settings back first. False when
/// it failed.
bool make_terminal_raw(OutputProcessing output = OutputProcessing::On);

/// Puts the settings back that make_terminal_raw() found, once all output is on the screen, and drops what
/// was typed and not read: it was not meant for who reads next. Harmless when that was never called. A signal
/// ends the waiting.
void restore_terminal() noexcept;

/// The same for signal handlers, without waiting for output.
void restore_terminal_at_once() noexcept;

}  // namespace mayfly
