// SPDX-License-Identifier: Apache-2.0
// What a guest asks of a disk on a loop allocates nothing. Counts operator new of the whole program.
#include <atomic>
#include <cstdlib>
#include <new>

#include "tests/unit/vmm/disk_fixture.h"

using namespace mayfly;

namespace {

std::atomic<long> allocations = 0;

}  // namespace

// The program's own: every other form of new comes down to it.
void* operator new(std::size_t size) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    if (void* memory = std::malloc(size)) return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

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
    long at_start = 0;
    runner.before_start = [&](u32 n) {
        if (n == 0) at_start = allocations.load();
    };
    const auto results = runner.run();
    const long at_end = allocations.load();
    CHECK(results == std::vector<i32>(150, 0));
    // One for the copy of the results that run() returns.
    CHECK(at_end - at_start <= 1);
}
