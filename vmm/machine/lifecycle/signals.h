// SPDX-License-Identifier: Apache-2.0
// Signals: outside reasons to end mayfly, turned into a clean end of the machine.
//
// Signal handlers need a global to act on; it is here and nowhere else. One machine per process.
// Thread: the main thread installs; handlers run on any.
#pragma once

#include <chrono>

#include "vmm/error/result.h"
#include "vmm/machine/lifecycle/stop_control.h"

namespace mayfly {

/// SIGPIPE and SIGXFSZ become errors of write(2): a lost reader must not keep us from writing other files.
void make_write_signals_errors();

/// SIGBUS means that a mapped file shrank, and ends mayfly. To be called before a file is mapped.
void report_bus_errors();

/// SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGUSR2 and SIGXCPU end the machine (unless they were ignored
/// when we started), except that, apart from SIGALRM and SIGXCPU, a running program takes them (SignalRelay),
/// and SIGUSR1 too. `stop` outlives the process.
void install_signal_handlers(StopControl& stop);

/// SIGWINCH is for the program. Only where mayfly does not watch the terminal's size.
void relay_window_changes();

/// Ends the machine with EndKind::Timeout after `limit`. Errors: Os.
Result<void> start_timeout(std::chrono::milliseconds limit);

}  // namespace mayfly
