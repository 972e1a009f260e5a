// SPDX-License-Identifier: Apache-2.0
// The directory for files that do not outlive the host's boot: $MAYFLY_RUNTIME_DIR, else
// $XDG_RUNTIME_DIR/mayfly, else, for root, /run/mayfly.
//
// Thread: any.
#pragma once

#include <string>

namespace mayfly {

/// Empty where nothing names a directory, or the first variable says "off". XDG Base Directory Specification
/// 0.8, "Environment variables": a relative path is ignored. Neither its existence nor its owner is checked.
[[nodiscard]] std::string runtime_directory();

}  // namespace mayfly
