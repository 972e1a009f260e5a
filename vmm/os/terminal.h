// SPDX-License-Identifier: Apache-2.0
// The terminal on stdin: raw while a guest owns it, and always restored.
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

/// Off: for a guest whose own terminal already did the processing. On: a guest's bare line feed still starts
/// a new line.
enum class OutputProcessing : bool { Off, On };

/// Keys reach the guest one by one, Ctrl-C included. A fatal signal restores the settings first. False when
/// it failed.
bool make_terminal_raw(OutputProcessing output = OutputProcessing::On);

/// Restores the settings that make_terminal_raw() found, once all output is on the screen, and drops typed
/// input that was not read: it was not meant for the next reader. Harmless when that was never called. A
/// signal ends the wait.
void restore_terminal() noexcept;

/// The same for signal handlers, without waiting for output.
void restore_terminal_at_once() noexcept;

}  // namespace mayfly
