// SPDX-License-Identifier: Apache-2.0
// How a tap is joined or made. Thread: any.
#pragma once

#include <string>
#include <vector>

#include "vmm/error/result.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

struct OpenedTap {
    std::string name;
    std::vector<UniqueFd> fds;  ///< one per queue pair, non-blocking
};

Result<OpenedTap> open_tap(const std::string& name, u16 pairs);

}  // namespace mayfly
