// SPDX-License-Identifier: Apache-2.0
// open_devices(): files, interfaces and sockets behind the devices that the user asked for.
//
// Thread: the main thread, before any vCPU runs.
#pragma once

#include <vector>

#include "vmm/machine/console.h"
#include "vmm/machine/guest_device.h"
#include "vmm/machine/stop_control.h"
#include "vmm/machine/virtio_console.h"

namespace mayfly {

/// One for each device of the plan, in its order. `console` is set when there is one. `stop`, which outlives
/// them, is told when one cannot do its work after all.
/// Errors: each backend's, with the option it came from; one file as two disks of which one writes.
Result<std::vector<DeviceParts>> open_devices(const BootConfig& config, const DevicePlan& plan,
                                              const ConsoleEnds& ends, StopControl& stop,
                                              VirtioConsole*& console);

}  // namespace mayfly
