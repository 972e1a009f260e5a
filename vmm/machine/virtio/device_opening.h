// SPDX-License-Identifier: Apache-2.0
// open_devices(): files, interfaces and sockets behind the devices that the user asked for.
//
// Thread: the main thread, before any vCPU runs.
#pragma once

#include <vector>

#include "vmm/machine/console/console.h"
#include "vmm/machine/console/virtio_console.h"
#include "vmm/machine/lifecycle/stop_control.h"
#include "vmm/machine/virtio/guest_device.h"

namespace mayfly {

struct OpenDevices {
    std::vector<DeviceParts> parts;    ///< of each device of the plan, in its order
    VirtioConsole* console = nullptr;  ///< the backend among them that is one
};

/// `stop`, which outlives them, is told when one cannot do its work after all.
/// Errors: each backend's, with the option it came from; one file as two disks of which one writes.
Result<OpenDevices> open_devices(const BootConfig& config, const DevicePlan& plan, const ConsoleEnds& ends,
                                 StopControl& stop);

}  // namespace mayfly
