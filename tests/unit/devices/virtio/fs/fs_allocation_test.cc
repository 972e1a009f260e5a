// SPDX-License-Identifier: Apache-2.0
// The file system device allocates before the driver runs, not after.
#include "tests/support/allocation_count.h"
#include "tests/unit/devices/virtio/fs/fs_rig.h"

using namespace mayfly;

TEST_CASE("fs: nothing is allocated once the driver runs", "[fs]") {
    FsRig it;
    u64 allocations = 0;
    for (int round = 0; round < 20; ++round) {
        for (const u16 queue : {kPriority, kRequests})
            for (int i = 0; i < 3; ++i) it.send(queue, "request");
        const u64 before = allocations_so_far();
        for (const u16 queue : {kPriority, kRequests}) (void)it.fs->process(queue, 8);
        it.backend.finish_all();
        for (const u16 queue : {kPriority, kRequests}) (void)it.host.queue(queue).publish();
        allocations += allocations_so_far() - before;
        for (const u16 queue : {kPriority, kRequests})
            while (it.host.driver(queue).take_used()) {
            }
    }
    CHECK(it.host.queue(kRequests).counts.requests == 60);
    CHECK(allocations == 0);
}
