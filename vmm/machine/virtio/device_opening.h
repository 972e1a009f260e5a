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
    VirtioConsole* console = nullptr;  ///< the backend of the virtio console
};

/// `stop`, which outlives them, is called when a backend fails later. Errors: each backend's, with its
/// option; one file as two disks of which one writes.
Result<OpenDevices> open_devices(const BootConfig& config, const DevicePlan& plan, const ConsoleEnds& ends,
                                 StopControl& stop);

}  // namespace mayfly
