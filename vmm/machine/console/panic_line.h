// SPDX-License-Identifier: Apache-2.0
// panic_line: the words with which a Linux guest began to panic, "Kernel panic - not syncing: ...".
//
// Searched for once a guest has ended; the guest's text is made safe to print. Pure functions; any thread.
#pragma once

#include <string>
#include <string_view>

#include "vmm/machine/console/printk_records.h"

namespace mayfly {

constexpr std::string_view kPanicWords = "Kernel panic - not syncing";

/// In the newest some thousand records. Empty when no line matches.
[[nodiscard]] std::string panic_line(const PrintkRecords& records);

/// In the last of what a console said. Empty when no line matches.
[[nodiscard]] std::string panic_line(std::string_view console);

}  // namespace mayfly
