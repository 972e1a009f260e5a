// SPDX-License-Identifier: Apache-2.0
// Pauses while I/O is under way.
#include <thread>

#include <catch2/catch.hpp>

#include "tests/unit/devices/virtio/transport/core_rig.h"
#include "vmm/os/clock.h"

using namespace mayfly;

namespace {

constexpr u64 kSoonNs = 10'000'000;
constexpr u64 kLongNs = 20'000'000'000;

struct Rig : CoreRig {
    Rig() { start(); }
    u16 add() { return driver.add(ChainBuilder().writable(data, 16)); }
};

}  // namespace

TEST_CASE("a paused device takes no chain, and checks every queue when it goes on", "[core_pause]") {
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
    CoreRig it;
    {
        const Lock lock(it.core.mutex());
        it.core.pause();
        CHECK(it.device.gives_back == 0);
        CHECK(it.core.await_drained(monotonic_ns() + kLongNs));
        it.core.resume();
    }
    it.start();
    CHECK(it.device.starts == 1);
}

TEST_CASE("a pause waits for requests in flight, at most until its deadline", "[core_pause]") {
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

TEST_CASE("a pause publishes pushed chains", "[core_pause]") {
    Rig it;
    const Lock lock(it.core.mutex());
    it.device.is_holding = true;
    const u16 id = it.add();
    it.core.notify(0);
    it.device.finish_one(false);  // as in the middle of a loop's turn
    CHECK_FALSE(it.driver.take_used());
    it.core.pause();
    CHECK(it.core.await_drained(monotonic_ns() + kLongNs));
    CHECK(it.driver.take_used()->id == id);
    CHECK(it.transport.queue_interrupts == std::vector<u16>{0});
}
