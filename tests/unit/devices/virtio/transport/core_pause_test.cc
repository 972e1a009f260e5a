// SPDX-License-Identifier: Apache-2.0
// Pauses while I/O is under way.
#include <thread>

#include <catch2/catch.hpp>

#include "devices/virtio/transport/core.h"
#include "tests/support/driver_queue.h"
#include "tests/support/fake_transport.h"
#include "vmm/os/clock.h"

using namespace mayfly;

namespace {

constexpr u64 kVersion1 = u64{1} << 32;
constexpr u64 kSoonNs = 10'000'000;
constexpr u64 kLongNs = 20'000'000'000;

struct Rig {
    Rig() {
        core.set_transport(transport);
        device.offered = 0;
        const Lock lock(core.mutex());
        core.set_driver_features(kVersion1);
        (void)core.write_status(11);
        const QueueSetup setup = driver.setup();
        core.queue_state(0) = {.size = setup.size,
                               .is_enabled = true,
                               .descriptors = setup.descriptors.value,
                               .driver_area = setup.driver_area.value,
                               .device_area = setup.device_area.value};
        (void)core.write_status(15);
    }
    u16 add() { return driver.add(ChainBuilder().writable(data, 16)); }

    TestRam ram{u64{1} << 20};
    FakeVirtioDevice device{{8}};
    FakeQueueWorker worker;
    FakeTransportClient transport;
    VirtioCore core{device, ram.memory(), worker, VirtioCore::Kind::Modern};
    DriverQueue driver{ram, {.size = 8}};
    Gpa data = ram.allocate(4096);
};

}  // namespace

TEST_CASE("a paused device takes no chain, and looks at every queue when it goes on", "[core_pause]") {
    Rig it;
    const Lock lock(it.core.mutex());
    it.core.pause();
    CHECK(it.device.gives_back == 1);
    CHECK(it.core.await_drained(monotonic_ns() + kLongNs));
    const int processed = it.device.processed;
    const u16 id = it.add();
    it.core.notify(0);
    it.core.run_again(0);
    CHECK(it.device.processed == processed);
    CHECK_FALSE(it.driver.take_used());
    it.core.resume();
    CHECK(it.driver.take_used()->id == id);
    CHECK(it.transport.queue_interrupts == std::vector<u16>{0});
}

TEST_CASE("a device that was never started pauses, and starts afterwards", "[core_pause]") {
    FakeVirtioDevice device{{8}};
    FakeQueueWorker worker;
    FakeTransportClient transport;
    const TestRam ram{u64{1} << 20};
    VirtioCore core{device, ram.memory(), worker, VirtioCore::Kind::Modern};
    core.set_transport(transport);
    const Lock lock(core.mutex());
    core.pause();
    CHECK(device.gives_back == 0);
    CHECK(core.await_drained(monotonic_ns() + kLongNs));
    core.resume();
    core.set_driver_features(kVersion1);
    (void)core.write_status(11);
    (void)core.write_status(15);
    CHECK(device.starts == 1);
}

TEST_CASE("a pause waits for what is in flight, and for nothing longer than it may", "[core_pause]") {
    Rig it;
    u16 id = 0;
    {
        const Lock lock(it.core.mutex());
        it.device.is_holding = true;
        id = it.add();
        it.core.notify(0);
        it.core.pause();
        CHECK_FALSE(it.core.await_drained(monotonic_ns() + kSoonNs));
        CHECK(it.device.cancels == 0);
    }
    std::thread backend([&it] {
        const Lock lock(it.core.mutex());
        it.device.finish_one();
    });
    {
        const Lock lock(it.core.mutex());
        CHECK(it.core.await_drained(monotonic_ns() + kLongNs));
        CHECK(it.driver.take_used()->id == id);
        CHECK(it.transport.queue_interrupts == std::vector<u16>{0});
        it.core.resume();
    }
    backend.join();
}

TEST_CASE("what was pushed and not published yet is published by a pause", "[core_pause]") {
    Rig it;
    const Lock lock(it.core.mutex());
    it.device.is_holding = true;
    const u16 id = it.add();
    it.core.notify(0);
    it.device.finish_one(false);  // as where the turn of a loop is not over
    CHECK_FALSE(it.driver.take_used());
    it.core.pause();
    CHECK(it.core.await_drained(monotonic_ns() + kLongNs));
    CHECK(it.driver.take_used()->id == id);
    CHECK(it.transport.queue_interrupts == std::vector<u16>{0});
}
