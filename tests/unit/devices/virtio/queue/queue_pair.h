// SPDX-License-Identifier: Apache-2.0
// QueuePair: a driver and a running VirtQueue over the same RAM, for tests of queues.
#pragma once

#include <array>

#include <catch2/catch.hpp>

#include "tests/support/driver_queue.h"

namespace mayfly {

struct QueuePair {
    explicit QueuePair(DriverQueue::Options options = {}) : driver(ram, options), queue(ram.memory()) {
        REQUIRE(queue.start(driver.setup()));
    }
    PopResult pop() {
        const Popped popped = queue.pop(storage);
        if (popped.result == PopResult::Chain) chain = popped.chain;
        return popped.result;
    }
    /// The device takes `count` chains and gives them back, unpublished.
    void use(int count) {
        for (int i = 0; i < count; ++i) {
            REQUIRE(pop() == PopResult::Chain);
            queue.push(chain.token, 0);
        }
    }
    /// Moves both sides' free-running indices to `index`.
    void run_to(u16 index) {
        driver.refuse_interrupts();
        for (u16 i = 0; i != index; ++i) {
            driver.add(ChainBuilder().readable(Gpa{0x100}, 1));
            use(1);
            (void)queue.publish();
            REQUIRE(driver.take_used());
        }
        (void)driver.must_ring();
    }

    TestRam ram{u64{1} << 18};
    DriverQueue driver;
    VirtQueue queue;
    std::array<iovec, 16> storage{};
    Chain chain;
};

}  // namespace mayfly
