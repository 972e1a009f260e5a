// SPDX-License-Identifier: Apache-2.0
// Joins or makes a tap. Thread: any.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "vmm/error/result.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

struct OpenedTap {
    std::string name;
    std::vector<UniqueFd> fds;  ///< one per queue pair, non-blocking
};

/// With `mtu`, bytes without the link's header, the interface gets it; where the host refuses, a line of log
/// says so and the interface keeps its own.
Result<OpenedTap> open_tap(const std::string& name, u16 pairs, std::optional<u16> mtu);

}  // namespace mayfly
