// SPDX-License-Identifier: Apache-2.0
// Devices that no driver of a Linux guest has taken, once it has ended, and what would have helped.
//
// Thread: the main thread, when no vCPU runs.
#pragma once

#include <string>
#include <vector>

#include "vmm/machine/boot/machine_plan.h"

namespace mayfly {

/// Whether `ending` is one that such a device may explain: of a program of --exec, or a guest that found no
/// root. Others may have left a device alone on purpose, or ended before they looked.
[[nodiscard]] bool may_lack_devices(const BootConfig& config, const Ending& ending);

/// A line for each of `untaken`, except a console of our own choice. `missing` are the modules whose drivers
/// the kernel has not built in.
[[nodiscard]] std::vector<std::string> untaken_lines(const BootConfig& config,
                                                     const std::vector<PlannedDevice>& untaken,
                                                     const std::vector<std::string_view>& missing);

}  // namespace mayfly
