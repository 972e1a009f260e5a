// SPDX-License-Identifier: Apache-2.0
// Resets while I/O is under way. Tests go by states, never by time: the device says when a wait has begun.
#include <thread>

#include <catch2/catch.hpp>

#include "tests/unit/devices/virtio/transport/core_rig.h"

using namespace mayfly;

namespace {

/// A running device that holds one chain.
struct BusyRig : CoreRig {
    BusyRig() {
        device.is_holding = true;
        start();
        id = driver.add(ChainBuilder().writable(data, 16));
        const Lock guard(core.mutex());
        core.notify(0);
    }
    /// Begins a reset on a thread of its own; returns once it waits (cancel() was called).
    std::thread begin_reset() {
        std::thread thread([this] {
            const Lock lock(core.mutex());
            result = core.write_status(0);
            has_returned = true;
        });
        while (true) {
            const Lock guard(core.mutex());
            if (device.cancels != 0) return thread;
        }
    }

    u16 id = 0;
    bool result = false;
    std::atomic<bool> has_returned = false;
};

}  // namespace

TEST_CASE("a reset returns when the last I/O has ended, and not before", "[core_reset]") {
    BusyRig rig;
    REQUIRE(rig.device.in_flight() == 1);
    std::thread resetting = rig.begin_reset();
    {
        const Lock guard(rig.core.mutex());
        CHECK_FALSE(rig.has_returned);
        CHECK(rig.core.state().status == 15);
        CHECK(rig.device.stops == 0);
        rig.device.finish_one();
    }
    resetting.join();
    CHECK(rig.result);
    CHECK(rig.core.state().status == 0);
    CHECK(rig.device.stops == 1);
    CHECK(rig.worker.stops == 1);
    // The I/O ended before the reset did, so its chain was given back.
    CHECK(rig.driver.take_used() == DriverQueue::Used{rig.id, 0});
}

TEST_CASE("I/O that ends without a chain is waited for too", "[core_reset]") {
    BusyRig rig;
    {
        const Lock guard(rig.core.mutex());
        rig.device.finish_one();
        rig.device.busy = 1;
    }
    std::thread resetting = rig.begin_reset();
    {
        const Lock guard(rig.core.mutex());
        CHECK_FALSE(rig.has_returned);
        rig.device.busy = 0;
    }
    resetting.join();
    CHECK(rig.core.state().status == 0);
}

TEST_CASE("accesses during a reset start no work and leave no change", "[core_reset]") {
    BusyRig rig;
    std::thread resetting = rig.begin_reset();
    {
        const Lock lock(rig.core.mutex());
        const int processed = rig.device.processed;
        const std::size_t doorbells = rig.worker.doorbells.size();
        rig.driver.add(ChainBuilder().writable(rig.data, 16));
        rig.core.notify(0);
        CHECK(rig.core.run_queue(0, 64) == Progress::Waiting);
        CHECK(rig.device.processed == processed);
        CHECK(rig.worker.doorbells.size() == doorbells);
        CHECK(rig.core.configurable_queue(0) == nullptr);
        const std::array<std::byte, 1> byte{};
        rig.core.write_config(0, byte);
        CHECK(rig.device.config_writes == 0);
        // Another reset, and a driver that begins anew without waiting for the first.
        CHECK_FALSE(rig.core.write_status(0));
        CHECK_FALSE(rig.core.write_status(1));
        CHECK(rig.device.cancels == 1);
        CHECK(rig.core.state().status == 15);
        rig.core.config_changed();
        rig.core.fail("in the middle");
        rig.device.finish_one();
    }
    resetting.join();
    CHECK(rig.core.state().status == 0);
    CHECK(rig.device.stops == 1);
}

TEST_CASE("nothing that is pushed after a reset reaches guest memory", "[core_reset]") {
    BusyRig rig;
    std::thread resetting = rig.begin_reset();
    {
        const Lock guard(rig.core.mutex());
        rig.device.finish_one();
    }
    resetting.join();
    const auto before = rig.ram.bytes(Gpa{0}, rig.ram.low_bytes());
    const std::size_t interrupts = rig.transport.queue_interrupts.size();
    const Lock guard(rig.core.mutex());
    // The remaining work of a turn's end or a late task of the I/O thread.
    rig.core.queue(0).push({}, 16);
    rig.core.publish(0);
    rig.core.completed(0);
    CHECK(rig.core.run_queue(0, 64) == Progress::Waiting);
    CHECK(rig.core.state().status == 0);
    CHECK(rig.transport.queue_interrupts.size() == interrupts);
    CHECK(rig.ram.bytes(Gpa{0}, rig.ram.low_bytes()) == before);
}

TEST_CASE("a broken device's late work logs nothing after the reset", "[core_reset]") {
    BusyRig rig;
    {
        const Lock guard(rig.core.mutex());
        *rig.ram.at<u16>(rig.driver.avail_idx_at()) = 100;
        rig.core.notify(0);
        REQUIRE((rig.core.state().status & 64) != 0);
    }
    std::thread resetting = rig.begin_reset();
    {
        const Lock guard(rig.core.mutex());
        rig.device.finish_one();
    }
    resetting.join();
    const Lock guard(rig.core.mutex());
    rig.core.publish(0);
    CHECK(rig.core.state().status == 0);
}

TEST_CASE("a reset no longer waits when the machine ends", "[core_reset]") {
    BusyRig rig;
    std::thread resetting = rig.begin_reset();
    rig.worker.ending = true;
    resetting.join();
    CHECK_FALSE(rig.result);
    CHECK(rig.device.stops == 0);
    CHECK(rig.core.state().status == 15);
    // The I/O thread ends the I/O under way, into memory that still exists.
    const Lock guard(rig.core.mutex());
    rig.device.finish_one();
    CHECK(rig.device.in_flight() == 0);
}

TEST_CASE("resets, doorbells and completions from three threads leave a device that works", "[core_reset]") {
    BusyRig rig;
    std::atomic<bool> has_ended = false;
    std::thread backend([&] {
        while (!has_ended) {
            const Lock guard(rig.core.mutex());
            if (!rig.device.held.empty()) rig.device.finish_one();
        }
    });
    std::thread other_cpu([&] {
        while (!has_ended) {
            const Lock lock(rig.core.mutex());
            rig.core.notify(0);
            (void)rig.core.run_queue(0, 4);
        }
    });
    for (int i = 0; i < 200; ++i) {
        {
            const Lock lock(rig.core.mutex());
            REQUIRE(rig.core.write_status(0));
            REQUIRE(rig.core.state().status == 0);
            REQUIRE(rig.device.in_flight() == 0);
        }
        rig.driver.restart();
        rig.start();
        for (int chain = 0; chain < 4; ++chain) rig.driver.add(ChainBuilder().writable(rig.data, 16));
    }
    has_ended = true;
    backend.join();
    other_cpu.join();
    rig.device.is_holding = false;
    const Lock lock(rig.core.mutex());
    while (!rig.device.held.empty()) rig.device.finish_one();
    rig.core.notify(0);
    int used = 0;
    while (rig.driver.take_used()) ++used;
    CHECK(used == 4);
}

TEST_CASE("a device remembers that a driver once used it", "[core_reset]") {
    CoreRig rig;
    const auto was_taken = [&rig] {
        const Lock lock(rig.core.mutex());
        return rig.core.was_taken();
    };
    {
        // Probed, but not driven.
        const Lock lock(rig.core.mutex());
        REQUIRE(rig.core.write_status(1));
        REQUIRE(rig.core.write_status(0));
    }
    CHECK_FALSE(was_taken());
    rig.start();
    CHECK(was_taken());
    const Lock lock(rig.core.mutex());
    REQUIRE(rig.core.write_status(0));
    CHECK(rig.core.was_taken());
}
