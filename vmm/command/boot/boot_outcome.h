// SPDX-License-Identifier: Apache-2.0
// BootOutcome: what is to be said of a boot, and the status that follows: the machine's ending, together with
// what the console showed and what a program reported.
//
// Pure functions; any thread.
#pragma once

#include <string>
#include <vector>

#include "vmm/error/result.h"
#include "vmm/machine/lifecycle/ending.h"
#include "vmm/machine/plan/config.h"
#include "vmm/watch/console_watch.h"

namespace mayfly {

struct BootOutcome {
    int status = 0;
    std::vector<std::string> lines;  ///< errors, for stderr
    bool wants_tail = false;         ///< the console's last lines explain them
};

/// `watch` has finished; null where nothing was watched.
[[nodiscard]] BootOutcome judge_boot(const BootConfig& config, const Ending& ending,
                                     const ConsoleWatch* watch);

/// Of a boot that did not come to run.
[[nodiscard]] BootOutcome failed_boot(const Error& error);

/// "--fail-on 'Oops' matched: Oops: 0000 [#1]", with so much of the line as a terminal's has room for.
[[nodiscard]] std::string fail_on_line(const WatchedExpression& forbidden);

}  // namespace mayfly
