// SPDX-License-Identifier: Apache-2.0
// Whether only we can have written a file's content.
// Thread: any.
#pragma once

#include <string>

#include <sys/stat.h>

namespace mayfly {

/// Why others may have written to the file or directory, as words: its owner or its mode. Empty where only we
/// can.
[[nodiscard]] std::string why_not_ours(const struct stat& status);

}  // namespace mayfly
