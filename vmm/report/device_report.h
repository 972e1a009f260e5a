// SPDX-License-Identifier: Apache-2.0
// DeviceReport: counts of the virtio devices' work, and of the paths that it took.
//
// Thread: the main thread, after the machine has ended. Figures are counts and bytes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "vmm/machine/virtio/virtio_devices.h"

namespace mayfly {

struct QueueReport {
    std::string name;  ///< "receive0"
    QueueCounts counts;
    u64 doorbells_caught = 0;

    [[nodiscard]] u64 interrupts_sent() const {
        return counts.interrupts_irqfd + counts.interrupts_signal_msi + counts.interrupts_line;
    }
    [[nodiscard]] u64 interrupts_asked() const {
        return interrupts_sent() + counts.interrupts_suppressed + counts.interrupts_pending;
    }
};

struct GuestDeviceReport {
    std::string name;
    u64 returns = 0;           ///< register accesses that came back to user space, doorbells among them
    bool is_promoted = false;  ///< its work went to the I/O thread
    bool is_stuck = false;     ///< hangs in the host: its counts could not be read
    std::vector<QueueReport> queues;
    std::optional<LoopCounts> own_loop{};  ///< of its own I/O thread, which has ended
};

struct DeviceReport {
    std::vector<GuestDeviceReport> devices;
    std::optional<LoopCounts> loop{};  ///< of the I/O thread, if there was one, and it has ended
    RewiringLimit::Counts rewiring;
};

[[nodiscard]] DeviceReport collect_devices(VirtioDevices& devices);
/// Empty without devices.
[[nodiscard]] std::string device_table(const DeviceReport& report, std::size_t columns);
[[nodiscard]] nlohmann::ordered_json device_json(const DeviceReport& report);

}  // namespace mayfly
