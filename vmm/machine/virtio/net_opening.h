// SPDX-License-Identifier: Apache-2.0
// open_net_device(): a tap, or a passt, as a device. Apart from device_opening.h because few boots have one.
//
// Thread: the main thread, before any vCPU runs.
#pragma once

#include "vmm/machine/lifecycle/stop_control.h"
#include "vmm/machine/plan/config.h"
#include "vmm/machine/plan/device_plan.h"
#include "vmm/machine/virtio/guest_device.h"

namespace mayfly {

/// Errors: the backend's, with its option. `stop` outlives the device.
Result<DeviceParts> open_net_device(const NetConfig& config, const PlannedDevice& place, StopControl& stop);

}  // namespace mayfly
