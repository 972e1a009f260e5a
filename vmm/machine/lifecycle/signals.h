// SPDX-License-Identifier: Apache-2.0
// Signals: what ends mayfly from outside, turned into a clean end of the machine.
//
// Signal handlers need a global to act on; it is here and nowhere else. One machine per process.
// Thread: the main thread installs; handlers run on any.
#pragma once

#include <chrono>

#include "vmm/error/result.h"
#include "vmm/machine/lifecycle/stop_control.h"

namespace mayfly {

/// SIGPIPE and SIGXFSZ become errors of write(2): a reader that has gone must not keep us from what else is
/// to be written.
void make_write_signals_errors();

/// SIGBUS says that a mapped file shrank, and ends mayfly. For who is about to map a file.
void report_bus_errors();

/// SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGUSR2 and SIGXCPU end the machine (unless they were ignored
/// when we started), but for SIGALRM and SIGXCPU only until a program takes them (SignalRelay), which gets
/// SIGUSR1 too. `stop` outlives the process.
void install_signal_handlers(StopControl& stop);

/// SIGWINCH is for the program. Where no terminal's size is watched.
void relay_window_changes();

/// Ends the machine with EndKind::Timeout after `limit`. Errors: Os.
Result<void> start_timeout(std::chrono::milliseconds limit);

}  // namespace mayfly
