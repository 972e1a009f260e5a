// SPDX-License-Identifier: Apache-2.0
// Requests for adjacent sectors become one operation, and each is still answered by itself.
#include <cerrno>

#include "tests/unit/devices/virtio/block/block_rig.h"

namespace {

using namespace mayfly;

using Seen = FakeBlockBackend::Seen;

Seen a_read(u64 sector, u64 size_bytes, std::size_t part_count) {
    return {BlockIoKind::Read, false, false, sector * 512, size_bytes, part_count};
}

}  // namespace

TEST_CASE("block: adjacent requests that come together are one operation, each with its own answer",
          "[block]") {
    BlockRig rig(DriverQueue::Options{.size = 16, .is_packed = GENERATE(false, true), .has_indirect = true});
    const auto first = rig.read(3, 512);
    const auto second = rig.read(4, 1024);
    const auto third = rig.read(6, 512);
    rig.run();
    REQUIRE(rig.disk.seen.size() == 1);
    CHECK(rig.disk.seen[0] == a_read(3, 2048, 3));
    CHECK(rig.is_used(first, 513));
    CHECK(rig.is_used(second, 1025));
    CHECK(rig.is_used(third, 513));
    CHECK(rig.byte(first.data) == 4);
    CHECK(rig.byte(second.data) == 5);
    CHECK(rig.byte(second.data + 512) == 6);
    CHECK(rig.byte(third.data) == 7);
    CHECK(rig.byte(third.status) == 0);
    CHECK(rig.block->counts().reads == 3);
    CHECK(rig.block->counts().joined == 2);
    CHECK(rig.block->in_flight() == 0);
}

TEST_CASE("block: writes join, and land where each of them belongs", "[block]") {
    BlockRig rig;
    rig.write(8, 512, 0x11);
    rig.write(9, 512, 0x22);
    rig.run();
    REQUIRE(rig.disk.seen.size() == 1);
    CHECK(rig.disk.bytes[8 * 512] == std::byte{0x11});
    CHECK(rig.disk.bytes[10 * 512 - 1] == std::byte{0x22});
}

TEST_CASE("block: a gap, another direction, an overlap or a step back begins a new operation", "[block]") {
    BlockRig rig;
    rig.read(0, 512);
    rig.read(2, 512);
    rig.write(3, 512, 1);
    rig.write(3, 512, 2);
    rig.write(2, 512, 3);
    rig.run();
    CHECK(rig.disk.seen.size() == 5);
    CHECK(rig.disk.bytes[3 * 512] == std::byte{2});
    CHECK(rig.block->counts().joined == 0);
}

TEST_CASE("block: a request between adjacent ones keeps its place", "[block]") {
    BlockRig rig;
    rig.write(0, 512, 1);
    rig.flush();
    rig.write(1, 512, 2);
    rig.run();
    REQUIRE(rig.disk.seen.size() == 3);
    CHECK(rig.disk.seen[0].kind == BlockIoKind::Write);
    CHECK(rig.disk.seen[1].kind == BlockIoKind::Flush);
    CHECK(rig.disk.seen[2].kind == BlockIoKind::Write);
}

TEST_CASE("block: an operation of several is at most 256 KiB", "[block]") {
    BlockRig rig({.size = 16}, kUsualFeatures, {.size_bytes = 2048 * 512});
    for (u64 i = 0; i < 5; ++i) rig.read(i * 128, 64 << 10);
    rig.run();
    REQUIRE(rig.disk.seen.size() == 2);
    CHECK(rig.disk.seen[0] == a_read(0, 256 << 10, 4));
    CHECK(rig.disk.seen[1] == a_read(512, 64 << 10, 1));
}

TEST_CASE("block: an operation that failed is tried again request by request", "[block]") {
    BlockRig rig;
    rig.disk.is_deferring = true;
    const auto sound = rig.read(0, 512);
    const auto bad = rig.read(1, 512);
    const auto last = rig.read(2, 512);
    rig.run();
    REQUIRE(rig.disk.pending.size() == 1);
    BlockIo& together = *rig.disk.pending[0];
    together.parts = drop_front(together.parts, 700);  // the operation came so far; the requests stay whole
    rig.disk.finish(0, -EIO);
    REQUIRE(rig.disk.pending.size() == 3);
    CHECK(rig.disk.seen[1] == a_read(0, 512, 1));
    CHECK(rig.disk.seen[2] == a_read(1, 512, 1));
    CHECK(rig.disk.seen[3] == a_read(2, 512, 1));
    rig.disk.finish(1, -EIO);
    rig.finish_all_and_publish();
    CHECK(rig.is_used(bad, 1));
    CHECK(rig.byte(bad.status) == 1);
    CHECK(rig.is_used(sound, 513));
    CHECK(rig.byte(sound.data) == 1);
    CHECK(rig.is_used(last, 513));
    CHECK(rig.byte(last.data) == 3);
    CHECK(rig.block->in_flight() == 0);
}

TEST_CASE("block: a cancelled operation is not tried again", "[block]") {
    BlockRig rig;
    rig.disk.is_deferring = true;
    const auto first = rig.read(0, 512);
    const auto second = rig.read(1, 512);
    rig.run();
    CHECK(rig.block->in_flight() == 2);
    rig.block->cancel();
    rig.finish(0, -ECANCELED);
    CHECK(rig.disk.pending.empty());
    CHECK(rig.block->in_flight() == 0);
    CHECK(rig.is_used(first, 1));
    CHECK(rig.is_used(second, 1));
    CHECK(rig.byte(second.status) == 1);
}

TEST_CASE("block: an immediate error of joined requests is attributed to the right one too", "[block]") {
    BlockRig rig;
    rig.disk.result = -EIO;
    const auto first = rig.write(0, 512, 1);
    const auto second = rig.write(1, 512, 1);
    rig.run();
    CHECK(rig.disk.seen.size() == 3);
    CHECK(rig.is_used(first, 1));
    CHECK(rig.is_used(second, 1));
    CHECK(rig.block->in_flight() == 0);
}

TEST_CASE("block: requests of many parts stay alone", "[block]") {
    BlockRig rig({.size = 32});
    const auto add = [&](u64 sector, u32 parts) {
        ChainBuilder chain;
        chain.readable(rig.header(0, sector), 16);
        for (u32 i = 0; i < parts; ++i) chain.writable(rig.ram.allocate(512), 512);
        rig.host.driver(0).add(chain.writable(rig.status(), 1));
    };
    add(0, 2);
    add(2, 7);
    add(9, 2);
    rig.run();
    REQUIRE(rig.disk.seen.size() == 3);
    CHECK(rig.disk.seen[1] == a_read(2, 7 * 512, 7));
}
