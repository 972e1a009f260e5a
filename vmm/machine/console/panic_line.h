// SPDX-License-Identifier: Apache-2.0
// panic_line: the words with which a Linux guest began to panic, "Kernel panic - not syncing: ...".
//
// Looked for once a guest has ended; texts are a guest's, made fit to be shown. Pure functions; any thread.
#pragma once

#include <string>
#include <string_view>

#include "vmm/machine/console/printk_records.h"

namespace mayfly {

constexpr std::string_view kPanicWords = "Kernel panic - not syncing";

/// In the newest some thousand records. Empty where there is none.
[[nodiscard]] std::string panic_line(const PrintkRecords& records);

/// In the last of what a console said. Empty where there is none.
[[nodiscard]] std::string panic_line(std::string_view console);

}  // namespace mayfly
