// SPDX-License-Identifier: Apache-2.0
// A guest's requests to a disk on a loop allocate nothing. Counts operator new of the whole program.
#include "tests/support/allocation_count.h"
#include "tests/unit/vmm/storage/disk_fixture.h"
#include "vmm/storage/disk_overlay.h"

using namespace mayfly;

TEST_CASE("requests to an attached disk allocate nothing", "[disk]") {
    const How how = GENERATE(How::Attached, How::AllByRing);
    const TempDisk file(MiB(4));
    file.fill(std::byte{1}, 0, MiB(4));
    DiskRunner runner(open_or_fail({.path = file.path}), how);
    std::vector<std::byte> memory(4096);
    for (u32 n = 0; n < 50; ++n) {
        runner.add(n % 2 == 0 ? BlockIoKind::Read : BlockIoKind::Write, n * 4096, memory, 1024);
        runner.add(BlockIoKind::Flush, 0, 0);
        runner.add(BlockIoKind::WriteZeroes, MiB(2), 4096);
    }
    u64 at_start = 0;
    runner.before_start = [&](u32 n) {
        if (n == 0) at_start = allocations_so_far();
    };
    const auto results = runner.run();
    const u64 at_end = allocations_so_far();
    CHECK(results == std::vector<i32>(150, 0));
    // One for the copy of the results that run() returns.
    CHECK(at_end - at_start <= 1);
}

TEST_CASE("an overlay allocates by the number of requests in flight together, not by request", "[disk]") {
    const How how = GENERATE(How::Attached, How::AllByRing);
    const TempDisk file(MiB(4));
    auto opened = DiskOverlay::open({.path = file.path});
    REQUIRE(opened.has_value());
    DiskRunnerOn<DiskOverlay> runner(std::move(*opened), how);
    std::vector<std::byte> memory(4096);
    for (u32 n = 0; n < 600; ++n) {
        runner.add(BlockIoKind::Write, n * 4096, std::span(memory).first(512));
        runner.add(BlockIoKind::Read, n * 4096, memory, 1024);
    }
    u64 at_start = 0;
    u64 in_between = 0;
    runner.before_start = [&](u32 n) {
        if (n == 0) at_start = allocations_so_far();
        if (n == 1'000) in_between = allocations_so_far();
    };
    const auto results = runner.run();
    const u64 at_end = allocations_so_far();
    CHECK(results == std::vector<i32>(1'200, 0));
    if (how == How::Attached) CHECK(in_between - at_start <= 600);
    CHECK(at_end - at_start <= 1'201);
}
