// SPDX-License-Identifier: Apache-2.0
// The directory for what does not outlive the host's boot: $MAYFLY_RUNTIME_DIR, else $XDG_RUNTIME_DIR/mayfly,
// else, for root, /run/mayfly.
//
// Thread: any.
#pragma once

#include <string>

namespace mayfly {

/// Empty where there is none: nothing says where, or the first says "off". XDG Base Directory Specification
/// 0.8, "Environment variables": a relative path is ignored. Whether it is there, and ours, is not looked at.
[[nodiscard]] std::string runtime_directory();

}  // namespace mayfly
