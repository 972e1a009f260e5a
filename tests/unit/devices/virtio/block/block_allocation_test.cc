// SPDX-License-Identifier: Apache-2.0
// The block device allocates before the driver runs, not after.
#include "tests/support/allocation_count.h"
#include "tests/unit/devices/virtio/block/block_rig.h"

using namespace mayfly;

TEST_CASE("block: nothing is allocated once the driver runs", "[block]") {
    const bool is_packed = GENERATE(false, true);
    BlockRig rig({.size = 16, .is_packed = is_packed});
    rig.disk.is_deferring = true;
    u64 allocations = 0;
    for (int round = 0; round < 20; ++round) {
        rig.read(0, 512);
        rig.write(1, 512, 1);
        rig.range(13, 0, 1, 0);
        rig.range(99, 0, 1, 0);
        const u64 before = allocations_so_far();
        rig.run();
        rig.finish_all_and_publish();
        allocations += allocations_so_far() - before;
        while (rig.host.driver(0).take_used()) {
        }
    }
    CHECK(rig.block->counts().reads == 20);
    CHECK(allocations == 0);
}
