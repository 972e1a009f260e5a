// SPDX-License-Identifier: Apache-2.0
// Whether what a file holds can have been written by nobody but us.
// Thread: any.
#pragma once

#include <string>

#include <sys/stat.h>

namespace mayfly {

/// Who else owns the file or directory, or may write to it, as words; empty where nobody does.
[[nodiscard]] std::string why_not_ours(const struct stat& status);

}  // namespace mayfly
