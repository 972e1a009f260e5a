// SPDX-License-Identifier: Apache-2.0
// The value of --root: DIR[,live[,rw]]. Thread: any.
#pragma once

#include <string>
#include <string_view>

#include "vmm/error/result.h"
#include "vmm/machine/plan/config.h"

namespace mayfly {

struct RootChoice {
    std::string directory;
    RootKind kind = RootKind::Packed;
};

/// An empty value is refused. Errors: Invalid.
Result<RootChoice> parse_root(std::string_view text);

/// A live root's share, which comes after the user's. Errors: Invalid for what does not go with it.
Result<void> add_live_root(BootConfig& config);

}  // namespace mayfly
