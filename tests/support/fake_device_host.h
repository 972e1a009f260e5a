// SPDX-License-Identifier: Apache-2.0
// FakeDeviceHost: stands for a transport in tests of a device. Owns its queues, and a driver for each.
//
// TestRam ram(1 << 20);
// FakeDeviceHost host(ram, {{.size = 8}, {.size = 8}});   // running queues, see DriverQueue::Options
// device.start(features, host);
// host.driver(0).add(...);
// (void)device.process(0, 64);
// REQUIRE(host.queue(0).publish());
// REQUIRE(host.driver(0).take_used() == ...);
// A device is stopped before its host goes.
#pragma once

#include <deque>
#include <initializer_list>
#include <string>
#include <vector>

#include "devices/virtio/virtio_device.h"
#include "tests/support/driver_queue.h"

namespace mayfly {

class FakeDeviceHost final : public DeviceHost {
  public:
    struct Timer {
        u16 queue;
        u64 deadline_ns;
        bool operator==(const Timer&) const = default;
    };

    FakeDeviceHost(TestRam& ram, std::initializer_list<DriverQueue::Options> queues) {
        for (const DriverQueue::Options& options : queues) {
            drivers_.emplace_back(ram, options);
            queues_.emplace_back(ram.memory());
            if (!queues_.back().start(drivers_.back().setup())) throw std::logic_error("FakeDeviceHost");
        }
        completions.resize(queues.size());
        runs_again.resize(queues.size());
    }

    [[nodiscard]] Mutex& mutex() override { return mutex_; }
    [[nodiscard]] VirtQueue& queue(u16 index) override { return queues_.at(index); }
    [[nodiscard]] DriverQueue& driver(u16 index) { return drivers_.at(index); }

    void completed(u16 queue) override { ++completions.at(queue); }
    void run_again(u16 queue) override { ++runs_again.at(queue); }
    void run_at(u16 queue, u64 deadline_ns) override { timers.push_back({queue, deadline_ns}); }
    void config_changed() override { ++config_changes; }
    void fail(std::string_view why) override { failures.emplace_back(why); }

    std::vector<int> completions;  ///< by queue
    std::vector<int> runs_again;   ///< by queue
    std::vector<Timer> timers;
    int config_changes = 0;
    std::vector<std::string> failures;

  private:
    Mutex mutex_;
    std::deque<DriverQueue> drivers_;
    std::deque<VirtQueue> queues_;
};

}  // namespace mayfly
