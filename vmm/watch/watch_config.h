// SPDX-License-Identifier: Apache-2.0
// WatchConfig: the user's options for watching the guest's console, as plain values. ConsoleWatch checks the
// expressions; the code that opens a file checks its path.
#pragma once

#include <string>
#include <vector>

#include "vmm/error/ints.h"

namespace mayfly {

struct WatchConfig {
    std::vector<std::string> expect;   ///< extended regular expressions (Expression): all have to be seen
    std::vector<std::string> fail_on;  ///< the first one seen ends the machine, status 1
    std::string log_path;              ///< the console's lines with timestamps; empty: none
    u64 log_max_bytes = u64{64} << 20;
    std::string junit_path;  ///< a report in JUnit's XML; empty: none

    /// Whether the console's bytes must be watched.
    [[nodiscard]] bool needs_console() const {
        return !expect.empty() || !fail_on.empty() || !log_path.empty() || !junit_path.empty();
    }
};

}  // namespace mayfly
