// SPDX-License-Identifier: Apache-2.0
// Requests through split and packed rings to a disk that answers at once.
#include "devices/virtio/block/block.h"

#include <cerrno>
#include <string>

#include "tests/unit/devices/virtio/block/block_rig.h"

namespace {

using namespace mayfly;

DriverQueue::Options split_or_packed() {
    const bool is_packed = GENERATE(false, true);
    return {.size = 16, .is_packed = is_packed, .has_indirect = true};
}

u64 g_now_ns;
u64 test_clock() { return g_now_ns; }

}  // namespace

TEST_CASE("block: a read brings the sectors, the status and the length", "[block]") {
    BlockRig rig(split_or_packed());
    const auto request = rig.read(3, 1024);
    CHECK(rig.run());
    CHECK(rig.is_used(request, 1025));
    CHECK(rig.byte(request.status) == 0);
    CHECK(rig.byte(request.data) == 4);
    CHECK(rig.byte(request.data + 1023) == 5);
    CHECK(rig.host.queue(0).counts.requests == 1);
    CHECK(rig.host.queue(0).counts.bytes == 1024);
    CHECK(rig.block->counts().reads == 1);
    CHECK(rig.block->counts().errors == 0);
    CHECK(rig.block->in_flight() == 0);
}

TEST_CASE("block: a write changes the sectors, and only the status byte is written", "[block]") {
    BlockRig rig(split_or_packed());
    const auto request = rig.write(62, 1024, 0x77);
    rig.run();
    CHECK(rig.is_used(request, 1));
    CHECK(rig.byte(request.status) == 0);
    CHECK(rig.disk.bytes[62 * 512] == std::byte{0x77});
    CHECK(rig.disk.bytes[64 * 512 - 1] == std::byte{0x77});
    CHECK(rig.disk.bytes[62 * 512 - 1] == std::byte{62});
    CHECK(rig.disk.seen[0] == FakeBlockBackend::Seen{BlockIoKind::Write, false, false, 62 * 512, 1024, 1});
    CHECK(rig.block->counts().writes == 1);
}

TEST_CASE("block: the id comes padded with zeroes to 20 bytes", "[block]") {
    const std::string id = GENERATE("", "x", "0123456789012345678", "01234567890123456789");
    BlockRig rig({.size = 16}, kUsualFeatures, kUsualDisk, {.name = "disk0", .id = id});
    const Gpa data = rig.ram.allocate(24);
    rig.ram.fill(data, 24, kUntouched);
    const Gpa end = rig.status();
    const u16 used = rig.host.driver(0).add(
        ChainBuilder().readable(rig.header(8, 0), 16).writable(data, 20).writable(end, 1));
    rig.run();
    CHECK(rig.is_used({used, data, end}, 21));
    CHECK(rig.byte(end) == 0);
    CHECK(rig.ram.text(data, 20) == id + std::string(20 - id.size(), '\0'));
    CHECK(rig.byte(data + 20) == kUntouched);
    CHECK(rig.disk.seen.empty());
}

TEST_CASE("block: discard and write zeroes reach the disk", "[block]") {
    BlockRig rig(split_or_packed());
    const auto discard = rig.range(11, 1, 2, 0);
    const auto zeroes = rig.range(13, 4, 8, 1);
    rig.run();
    CHECK(rig.is_used(discard, 1));
    CHECK(rig.is_used(zeroes, 1));
    CHECK(rig.byte(discard.status) == 0);
    CHECK(rig.byte(zeroes.status) == 0);
    using Seen = FakeBlockBackend::Seen;
    CHECK(rig.disk.seen == std::vector<Seen>{{BlockIoKind::Discard, false, false, 512, 1024, 0},
                                             {BlockIoKind::WriteZeroes, false, true, 4 * 512, 8 * 512, 0}});
    CHECK(rig.block->counts().discards == 1);
    CHECK(rig.block->counts().zeroes == 1);
    // No data went through memory.
    CHECK(rig.host.queue(0).counts.bytes == 0);
}

TEST_CASE("block: a flush reaches the disk, even if F_FLUSH was not accepted", "[block]") {
    const u64 features = GENERATE(kUsualFeatures, kVersion1, u64{0});
    BlockRig rig({.size = 16}, features);
    const auto request = rig.flush();
    rig.run();
    CHECK(rig.is_used(request, 1));
    CHECK(rig.byte(request.status) == 0);
    REQUIRE(rig.disk.seen.size() == 1);
    CHECK(rig.disk.seen[0].kind == BlockIoKind::Flush);
    CHECK(rig.block->counts().flushes == 1);
}

TEST_CASE("block: without F_FLUSH, or with writeback at 0, writes go through", "[block]") {
    struct Case {
        u64 features;
        bool is_off;
        bool is_through;
    };
    const Case it =
        GENERATE(Case{kVersion1 | kFlush, false, false}, Case{kVersion1, false, true}, Case{0, false, true},
                 Case{kVersion1 | kFlush | kConfigWce, false, false},
                 Case{kVersion1 | kFlush | kConfigWce, true, true}, Case{kVersion1 | kConfigWce, false, true},
                 Case{kVersion1 | kFlush, true, false});
    BlockRig rig({.size = 16}, it.features);
    const std::byte zero{};
    if (it.is_off) rig.block->write_config(32, {&zero, 1});
    rig.write(0, 512, 1);
    rig.run();
    REQUIRE(rig.disk.seen.size() == 1);
    CHECK(rig.disk.seen[0].is_write_through == it.is_through);
}

TEST_CASE("block: write-through zeroes are flushed before they are answered", "[block]") {
    BlockRig rig({.size = 16}, kVersion1 | kWriteZeroes);
    rig.disk.is_deferring = true;
    const auto request = rig.range(13, 0, 4, 0);
    rig.run();
    CHECK_FALSE(rig.finish(0));
    CHECK(rig.is_idle());
    CHECK(rig.host.completions[0] == 0);
    REQUIRE(rig.disk.pending.size() == 1);
    CHECK(rig.disk.pending[0]->kind == BlockIoKind::Flush);
    CHECK(rig.finish(0));
    CHECK(rig.is_used(request, 1));
    CHECK(rig.host.completions[0] == 1);
    CHECK(rig.byte(request.status) == 0);
}

TEST_CASE("block: zeroes that failed are not flushed", "[block]") {
    BlockRig rig({.size = 16}, kVersion1 | kWriteZeroes);
    rig.disk.is_deferring = true;
    const auto request = rig.range(13, 0, 4, 0);
    rig.run();
    CHECK(rig.finish(0, -ENOSPC));
    CHECK(rig.is_used(request, 1));
    CHECK(rig.byte(request.status) == 1);
    CHECK(rig.disk.seen.size() == 1);
}

TEST_CASE("block: a failure of the host is an I/O error of one written byte", "[block]") {
    const i32 result = GENERATE(-EIO, -ENOSPC, -ECANCELED, -EBADF, -EINTR, 1);
    BlockRig rig(split_or_packed());
    rig.disk.result = result;
    const auto request = rig.read(0, 512);
    CHECK(rig.run());
    CHECK(rig.is_used(request, 1));
    CHECK(rig.byte(request.status) == 1);
    CHECK(rig.byte(request.data) == kUntouched);
    CHECK(rig.block->counts().errors == 1);
    CHECK(rig.host.failures.empty());
}

TEST_CASE("block: an operation that the host's file system lacks is unsupported", "[block]") {
    BlockRig rig;
    rig.disk.result = -EOPNOTSUPP;
    const auto request = rig.range(11, 0, 1, 0);
    rig.run();
    CHECK(rig.is_used(request, 1));
    CHECK(rig.byte(request.status) == 2);
}

TEST_CASE("block: a bad request is answered, and the next one is served", "[block]") {
    BlockRig rig(split_or_packed());
    const auto outside = rig.read(64, 512);
    const auto good = rig.read(63, 512);
    CHECK(rig.run());
    CHECK(rig.is_used(outside, 1));
    CHECK(rig.is_used(good, 513));
    CHECK(rig.byte(outside.status) == 1);
    CHECK(rig.byte(good.status) == 0);
    CHECK(rig.disk.seen.size() == 1);
}

TEST_CASE("block: requests may be cut in any way, in rings and in tables", "[block]") {
    BlockRig rig(split_or_packed());
    const bool is_indirect = GENERATE(false, true);
    const Gpa header = rig.header(0, 5);
    const Gpa data = rig.ram.allocate(1025);
    ChainBuilder chain;
    chain.readable(header, 1).readable(header + 1, 8).readable(header + 9, 7);
    chain.writable(data, 100).writable(data + 100, 412).writable(data + 512, 1).writable(data + 513, 512);
    if (is_indirect) chain.indirect(rig.ram);
    const u16 id = rig.host.driver(0).add(chain);
    rig.run();
    CHECK(rig.is_used({id, data, data}, 1025));
    CHECK(rig.byte(data) == 6);
    CHECK(rig.byte(data + 1023) == 7);
    CHECK(rig.byte(data + 1024) == 0);
    CHECK(rig.disk.seen[0].part_count == 4);
}

TEST_CASE("block: a request of 126 segments in a table is one operation", "[block]") {
    BlockRig rig({.size = 16, .has_indirect = true});
    rig.disk.is_deferring = true;
    const Gpa data = rig.ram.allocate(64 * 512);
    const Gpa end = rig.status();
    ChainBuilder chain;
    chain.readable(rig.header(0, 0), 16);
    for (u64 i = 0; i < 126; ++i) chain.writable(data + i * 256, i < 124 ? 256 : 512);
    chain.writable(end, 1).indirect(rig.ram);
    const u16 id = rig.host.driver(0).add(chain);
    rig.run();
    // Other requests do not disturb it.
    const auto other = rig.read(9, 512);
    rig.run();
    CHECK(rig.finish(1));
    CHECK(rig.is_used(other, 513));
    CHECK(rig.finish(0));
    CHECK(rig.is_used({id, data, end}, 124 * 256 + 2 * 512 + 1));
    CHECK(rig.byte(end) == 0);
    CHECK(rig.disk.seen[0].part_count == 126);
    CHECK(rig.byte(data + 255) == 1);
    CHECK(rig.byte(data + 256 * 2) == 2);
}

TEST_CASE("block: the budget ends a batch, and reports that more is left", "[block]") {
    BlockRig rig;
    for (int i = 0; i < 5; ++i) rig.flush();
    CHECK(rig.block->process(0, 2) == Progress::More);
    CHECK(rig.disk.seen.size() == 2);
    CHECK(rig.block->process(0, 3) == Progress::More);
    CHECK(rig.disk.seen.size() == 5);
    CHECK(rig.block->process(0, 1) == Progress::Drained);
}

TEST_CASE("block: no interrupt without a request, one publication for a batch", "[block]") {
    BlockRig rig(split_or_packed());
    CHECK_FALSE(rig.run());
    rig.flush();
    rig.flush();
    CHECK(rig.run());
    CHECK_FALSE(rig.run());
    rig.host.driver(0).refuse_interrupts();
    rig.flush();
    CHECK_FALSE(rig.run());
    CHECK(rig.host.queue(0).counts.interrupts_suppressed == 1);
}

TEST_CASE("block: queues are served separately", "[block]") {
    BlockRig rig;
    const auto first = rig.read(1, 512, 0);
    const auto second = rig.read(2, 512, 1);
    rig.run(1);
    CHECK(rig.is_idle(0));
    CHECK(rig.is_used(second, 513, 1));
    rig.run(0);
    CHECK(rig.is_used(first, 513, 0));
}

TEST_CASE("block: a limit on requests gives the chain back and asks to be called later", "[block]") {
    g_now_ns = 1'000'000'000;
    BlockRig rig(split_or_packed(), kUsualFeatures, kUsualDisk,
                 {.name = "disk0",
                  .id = "",
                  .requests_per_second = {.per_second = 10, .burst = 2},
                  .now_ns = test_clock});
    const auto first = rig.read(0, 512);
    const auto second = rig.flush();
    const auto third = rig.read(2, 512);
    CHECK(rig.block->process(0, 64) == Progress::Waiting);
    CHECK(rig.host.queue(0).publish());
    CHECK(rig.is_used(first, 513));
    CHECK(rig.is_used(second, 1));
    CHECK(rig.is_idle());
    CHECK(rig.block->counts().waits == 1);
    REQUIRE(rig.host.timers.size() == 1);
    CHECK(rig.host.timers[0] == FakeDeviceHost::Timer{0, 1'100'000'000});
    g_now_ns = 1'100'000'000;
    rig.run();
    CHECK(rig.is_used(third, 513));
    CHECK(rig.byte(third.status) == 0);
}

TEST_CASE("block: a limit on bytes counts data and zeroes, and errors and discards cost nothing", "[block]") {
    g_now_ns = 5'000'000'000;
    BlockRig rig({.size = 16}, kUsualFeatures, kUsualDisk,
                 {.name = "disk0",
                  .id = "",
                  .bytes_per_second = {.per_second = 1024, .burst = 1024},
                  .now_ns = test_clock});
    rig.read(64, 4096);
    rig.write(0, 1024, 1);
    rig.flush();
    rig.range(11, 0, 64, 0);
    rig.run();
    CHECK(rig.disk.seen.size() == 3);
    CHECK(rig.host.timers.empty());
    rig.range(13, 0, 1, 0);
    rig.run();
    CHECK(rig.disk.seen.size() == 3);
    REQUIRE(rig.host.timers.size() == 1);
    CHECK(rig.host.timers[0] == FakeDeviceHost::Timer{0, 5'500'000'000});
}

TEST_CASE("block: a reset does not fill the bucket", "[block]") {
    g_now_ns = 1'000'000'000;
    BlockRig rig({.size = 16}, kUsualFeatures, kUsualDisk,
                 {.name = "disk0",
                  .id = "",
                  .requests_per_second = {.per_second = 1, .burst = 1},
                  .now_ns = test_clock});
    rig.flush();
    rig.run();
    rig.block->stop();
    rig.block->start(kUsualFeatures, rig.host);
    rig.flush();
    rig.run();
    CHECK(rig.disk.seen.size() == 1);
    CHECK(rig.host.timers.size() == 1);
}
