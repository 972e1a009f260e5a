// SPDX-License-Identifier: Apache-2.0
// Requests in flight: any order, resets, hostile drivers, memory.
#include <cerrno>
#include <thread>

#include "tests/unit/devices/virtio/block/block_rig.h"

namespace {

using namespace mayfly;

constexpr DriverQueue::Options kSplit{.size = 16};

DriverQueue::Options split_or_packed() {
    const bool is_packed = GENERATE(false, true);
    return {.size = 16, .is_packed = is_packed, .has_indirect = true};
}

}  // namespace

TEST_CASE("block: requests in flight end in any order, each with its own status", "[block]") {
    BlockRig rig(split_or_packed());
    rig.disk.is_deferring = true;
    const auto first = rig.read(0, 512);
    const auto second = rig.write(1, 512, 9);
    const auto third = rig.read(2, 512);
    CHECK_FALSE(rig.run());
    CHECK(rig.block->in_flight() == 3);
    CHECK(rig.byte(first.status) == kUntouched);
    CHECK(rig.finish(2));
    CHECK(rig.is_used(third, 513));
    CHECK(rig.finish(0, -EIO));
    CHECK(rig.is_used(first, 1));
    CHECK(rig.finish(0));
    CHECK(rig.is_used(second, 1));
    CHECK(rig.byte(first.status) == 1);
    CHECK(rig.byte(second.status) == 0);
    CHECK(rig.byte(third.status) == 0);
    CHECK(rig.block->in_flight() == 0);
    CHECK(rig.host.completions[0] == 3);
}

TEST_CASE("block: a flush neither waits for other requests nor delays them", "[block]") {
    BlockRig rig;
    rig.disk.is_deferring = true;
    const auto before = rig.write(0, 512, 1);
    const auto flush = rig.flush();
    const auto after = rig.write(1, 512, 1);
    rig.run();
    CHECK(rig.disk.pending.size() == 3);
    rig.finish(1);
    CHECK(rig.is_used(flush, 1));
    rig.finish_all_and_publish();
    CHECK(rig.is_used(before, 1));
    CHECK(rig.is_used(after, 1));
}

TEST_CASE("block: the flush starts after every write that the driver saw done", "[block]") {
    BlockRig rig;
    rig.disk.is_deferring = true;
    const auto write = rig.write(0, 512, 1, 1);
    rig.run(1);
    rig.finish(0, 0, 1);
    CHECK(rig.is_used(write, 1, 1));
    rig.flush(0);
    rig.run(0);
    REQUIRE(rig.disk.pending.size() == 1);
    CHECK(rig.disk.pending[0]->kind == BlockIoKind::Flush);
}

TEST_CASE("block: a request without a status byte or a header stops the device until reset", "[block]") {
    BlockRig rig(split_or_packed());
    const bool has_status = GENERATE(false, true);
    const auto good = rig.read(0, 512);
    ChainBuilder bad;
    bad.readable(rig.header(0, 0), has_status ? 15 : 16);
    if (has_status) bad.writable(rig.status(), 1);
    rig.host.driver(0).add(bad);
    const auto late = rig.read(0, 512);
    CHECK(rig.block->process(0, 64) == Progress::Waiting);
    (void)rig.host.queue(0).publish();
    CHECK(rig.is_used(good, 513));
    CHECK(rig.is_idle());
    REQUIRE(rig.host.failures.size() == 1);
    CHECK(rig.host.failures[0] == "a disk request without a header or a status byte");
    CHECK(rig.block->process(0, 64) == Progress::Waiting);
    CHECK(rig.block->process(1, 64) == Progress::Waiting);
    CHECK(rig.byte(late.status) == kUntouched);
    CHECK(rig.host.failures.size() == 1);
    rig.block->stop();
    FakeDeviceHost again(rig.ram, {kSplit, kSplit});
    rig.block->start(kUsualFeatures, again);
    const Gpa end = rig.status();
    again.driver(0).add(ChainBuilder().readable(rig.header(4, 0), 16).writable(end, 1));
    CHECK(rig.block->process(0, 64) == Progress::Drained);
    CHECK(rig.byte(end) == 0);
    rig.block->stop();
}

TEST_CASE("block: a broken ring stops the device, and requests in flight still end", "[block]") {
    BlockRig rig;
    rig.disk.is_deferring = true;
    const auto request = rig.read(0, 512);
    rig.run();
    *rig.ram.at<u16>(rig.host.driver(0).avail_idx_at()) = 300;
    CHECK(rig.block->process(0, 64) == Progress::Waiting);
    CHECK(rig.host.failures.size() == 1);
    rig.disk.finish(0);
    CHECK_FALSE(rig.host.queue(0).publish());
    CHECK(rig.block->in_flight() == 0);
    CHECK(rig.is_idle());
    CHECK(rig.byte(request.status) == 0);
}

TEST_CASE("block: addresses at the end of memory and beyond it reach no backend", "[block]") {
    const u64 addr = GENERATE((u64{1} << 20) - 511, u64{1} << 20, ~u64{0}, ~u64{0} - 511, u64{1} << 63);
    BlockRig rig(split_or_packed());
    rig.host.driver(0).add(
        ChainBuilder().readable(rig.header(0, 0), 16).add({addr, 512, true}).writable(rig.status(), 1));
    CHECK(rig.block->process(0, 64) == Progress::Waiting);
    CHECK(rig.disk.seen.empty());
    CHECK(rig.host.failures.size() == 1);
}

TEST_CASE("block: a full queue is in flight, and nothing more is taken or lost", "[block]") {
    BlockRig rig({.size = 16, .has_indirect = true});
    rig.disk.is_deferring = true;
    const Gpa end = rig.status();
    const auto add = [&] {
        rig.host.driver(0).add(
            ChainBuilder().readable(rig.header(4, 0), 16).writable(end, 1).indirect(rig.ram));
    };
    for (int i = 0; i < 16; ++i) add();
    rig.run();
    CHECK(rig.block->in_flight() == 16);
    CHECK(rig.block->process(0, 64) == Progress::Drained);
    CHECK(rig.host.failures.empty());
    rig.finish(7);
    REQUIRE(rig.host.driver(0).take_used());
    add();
    rig.run();
    CHECK(rig.block->in_flight() == 16);
    rig.finish_all_and_publish();
    int used = 0;
    while (rig.host.driver(0).take_used()) ++used;
    CHECK(used == 16);
}

TEST_CASE("block: a driver that reuses descriptors in flight is stopped", "[block]") {
    BlockRig rig;
    rig.disk.is_deferring = true;
    for (int i = 0; i < 8; ++i) rig.flush();
    rig.run();
    // The same heads again and again, more often than the ring has entries.
    for (u16 idx = 9; idx < 40; ++idx) {
        *rig.ram.at<u16>(rig.host.driver(0).avail_idx_at()) = idx;
        (void)rig.block->process(0, 64);
    }
    CHECK(rig.block->in_flight() <= 16);
    CHECK(rig.host.failures.size() == 1);
    rig.disk.finish_all();
    CHECK(rig.block->in_flight() == 0);
}

TEST_CASE("block: reset while busy cancels at the backend, and ends when all requests have", "[block]") {
    BlockRig rig(split_or_packed());
    rig.disk.is_deferring = true;
    const auto request = rig.read(0, 512);
    rig.read(4, 512);
    rig.run();
    rig.block->cancel();
    CHECK(rig.disk.cancel_count == 1);
    CHECK(rig.block->in_flight() == 2);
    rig.disk.finish(0, -ECANCELED);
    rig.disk.finish(0, 0);
    CHECK(rig.block->in_flight() == 0);
    CHECK(rig.byte(request.status) == 1);
    rig.block->stop();
    CHECK(rig.disk.pending.empty());
    FakeDeviceHost again(rig.ram, {kSplit, kSplit});
    rig.block->start(kUsualFeatures, again);
    CHECK(rig.block->process(0, 64) == Progress::Drained);
    rig.block->stop();
}

TEST_CASE("block: completions come from another thread", "[block]") {
    BlockRig rig;
    rig.disk.is_deferring = true;
    int used = 0;
    for (int round = 0; round < 50; ++round) {
        for (u64 sector = 0; sector < 10; sector += 2) rig.read(sector, 512);
        {
            const Lock lock(rig.host.mutex());
            (void)rig.block->process(0, 64);
        }
        std::thread io([&] { rig.disk.finish_all(); });
        {
            const Lock lock(rig.host.mutex());
            (void)rig.block->process(1, 64);
        }
        io.join();
        (void)rig.host.queue(0).publish();
        while (rig.host.driver(0).take_used()) ++used;
    }
    CHECK(used == 250);
    CHECK(rig.host.completions[0] == 250);
}

TEST_CASE("block: few requests at a time touch one page of slots, whatever they are", "[block]") {
    BlockRig rig;
    rig.disk.is_deferring = true;
    for (int round = 0; round < 500; ++round) {
        rig.flush(round % 2 == 0 ? 0 : 1);
        rig.flush(round % 2 == 0 ? 0 : 1);
        rig.run(0);
        rig.run(1);
        rig.finish_all_and_publish();
        while (rig.host.driver(0).take_used() || rig.host.driver(1).take_used()) {
        }
    }
    CHECK(rig.block->counts().flushes == 1000);
    CHECK(rig.block->slots().touched_bytes() <= 2 * 256);
}
