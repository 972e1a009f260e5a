// SPDX-License-Identifier: Apache-2.0
// A core by itself, over a device of one queue of eight entries, and the driver of that queue.
#pragma once

#include "devices/virtio/transport/core.h"
#include "tests/support/driver_queue.h"
#include "tests/support/fake_transport.h"

namespace mayfly {

/// As the driver sets up its queue.
[[nodiscard]] inline VirtioCore::QueueState registers_of(const DriverQueue& driver) {
    const QueueSetup setup = driver.setup();
    return {.size = setup.size,
            .is_enabled = true,
            .descriptors = setup.descriptors.value,
            .driver_area = setup.driver_area.value,
            .device_area = setup.device_area.value};
}

struct CoreRig {
    explicit CoreRig(VirtioCore::Kind kind = VirtioCore::Kind::Modern)
        : core(device, ram.memory(), worker, kind) {
        core.set_transport(transport);
        device.offered = 0;
    }
    void start() {
        constexpr u64 kVersion1 = u64{1} << 32;
        const Lock lock(core.mutex());
        core.set_driver_features(kVersion1);
        (void)core.write_status(11);
        core.queue_state(0) = registers_of(driver);
        (void)core.write_status(15);
    }

    TestRam ram{u64{1} << 20};
    FakeVirtioDevice device{{8}};
    FakeQueueWorker worker;
    FakeTransportClient transport;
    VirtioCore core;
    DriverQueue driver{ram, {.size = 8}};
    Gpa data = ram.allocate(4096);
};

}  // namespace mayfly
