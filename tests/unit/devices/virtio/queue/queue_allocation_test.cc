// SPDX-License-Identifier: Apache-2.0
// Code that guests drive after the start may not allocate. Not built with sanitizers, which have an
// allocator.
#include <memory>

#include "tests/support/allocation_count.h"
#include "tests/unit/devices/virtio/queue/queue_pair.h"

namespace {

using namespace mayfly;

TEST_CASE("the device's side of a queue allocates nothing", "[queue]") {
    const bool is_packed = GENERATE(false, true);
    QueuePair it({.size = 16, .is_packed = is_packed, .has_event_idx = true, .has_indirect = true});
    const ChainBuilder chain =
        ChainBuilder().readable(Gpa{0x100}, 1).readable(Gpa{0x100}, 1).writable(Gpa{0x100}, 1);
    it.driver.add(chain);
    it.driver.add(ChainBuilder(chain).indirect(it.ram));
    it.driver.write_one(Gpa{0x100}, 0, false);  // breaks the queue
    it.driver.show();
    const u64 before = allocations_so_far();
    it.queue.suppress_doorbells();
    bool is_good = it.pop() == PopResult::Chain;
    it.queue.unpop(it.chain.token);
    for (int i = 0; i < 2; ++i) {
        is_good = is_good && it.pop() == PopResult::Chain;
        it.queue.push(it.chain.token, 1);
    }
    is_good = is_good && it.queue.publish() && it.queue.rearm_doorbells() && it.queue.has_work();
    is_good = is_good && it.pop() == PopResult::Broken;
    it.queue.stop();
    is_good = is_good && it.queue.start(it.driver.setup());
    REQUIRE(allocations_so_far() == before);
    REQUIRE(is_good);
    const auto counted = std::make_unique<int>(0);
    REQUIRE(allocations_so_far() == before + 1);
}

}  // namespace
