// SPDX-License-Identifier: Apache-2.0
// A block device with its disk and the driver of its queues.
#pragma once

#include <memory>
#include <utility>

#include <catch2/catch.hpp>

#include "devices/virtio/block/block.h"
#include "tests/support/driver_queue.h"
#include "tests/support/fake_device_host.h"
#include "tests/unit/devices/virtio/block/fake_block_backend.h"

namespace mayfly {

// Restated from virtio 1.2 §5.2.3 "Feature bits" and §6 "Reserved Feature Bits".
constexpr u64 kFlush = u64{1} << 9;
constexpr u64 kConfigWce = u64{1} << 11;
constexpr u64 kDiscard = u64{1} << 13;
constexpr u64 kWriteZeroes = u64{1} << 14;
constexpr u64 kVersion1 = u64{1} << 32;
constexpr u64 kUsualFeatures = kVersion1 | kFlush | kConfigWce | kDiscard | kWriteZeroes;

constexpr BlockGeometry kUsualDisk{.size_bytes = 64 * 512, .can_discard = true, .can_write_zeroes = true};
constexpr u8 kUntouched = 0xee;

struct BlockRig {
    struct Request {
        u16 id;
        Gpa data;
        Gpa status;
    };

    explicit BlockRig(DriverQueue::Options queue = {.size = 16}, u64 features = kUsualFeatures,
                      const BlockGeometry& geometry = kUsualDisk,
                      Block::Options options = {.name = "disk0", .id = "the-disk"})
        : disk(geometry), host(ram, {queue, queue}) {
        options.queue_count = 2;
        auto made = Block::create(std::move(options), disk);
        REQUIRE(made);
        block = std::move(*made);
        block->start(features, host);
    }
    ~BlockRig() {
        disk.finish_all();
        if (block->in_flight() == 0) block->stop();
    }

    [[nodiscard]] Gpa header(u32 type, u64 sector) {
        const Gpa at = ram.allocate(16);
        *ram.at<u32>(at) = type;
        *ram.at<u64>(at + 8) = sector;
        return at;
    }
    [[nodiscard]] Gpa status() {
        const Gpa at = ram.allocate(1);
        ram.fill(at, 1, kUntouched);
        return at;
    }
    Request read(u64 sector, u32 size_bytes, u16 queue = 0) {
        const Gpa data = ram.allocate(size_bytes);
        ram.fill(data, size_bytes, kUntouched);
        const Gpa end = status();
        const u16 id = host.driver(queue).add(
            ChainBuilder().readable(header(0, sector), 16).writable(data, size_bytes).writable(end, 1));
        return {id, data, end};
    }
    Request write(u64 sector, u32 size_bytes, u8 with, u16 queue = 0) {
        const Gpa data = ram.allocate(size_bytes);
        ram.fill(data, size_bytes, with);
        const Gpa end = status();
        const u16 id = host.driver(queue).add(
            ChainBuilder().readable(header(1, sector), 16).readable(data, size_bytes).writable(end, 1));
        return {id, data, end};
    }
    /// A request that carries one range.
    Request range(u32 type, u64 sector, u32 count, u32 flags) {
        const Gpa data = ram.allocate(16);
        *ram.at<u64>(data) = sector;
        *ram.at<u32>(data + 8) = count;
        *ram.at<u32>(data + 12) = flags;
        const Gpa end = status();
        const u16 id = host.driver(0).add(
            ChainBuilder().readable(header(type, 0), 16).readable(data, 16).writable(end, 1));
        return {id, data, end};
    }
    Request flush(u16 queue = 0) {
        const Gpa end = status();
        const u16 id = host.driver(queue).add(ChainBuilder().readable(header(4, 0), 16).writable(end, 1));
        return {id, end, end};
    }

    /// \returns whether the driver wants an interrupt.
    bool run(u16 queue = 0) {
        while (block->process(queue, 64) == Progress::More) {
        }
        return host.queue(queue).publish();
    }
    bool finish(std::size_t index, i32 result = 0, u16 queue = 0) {
        disk.finish(index, result);
        return host.queue(queue).publish();
    }

    void finish_all_and_publish() {
        disk.finish_all();
        (void)host.queue(0).publish();
        (void)host.queue(1).publish();
    }

    [[nodiscard]] u8 byte(Gpa at) const { return *ram.at<u8>(at); }
    [[nodiscard]] bool is_used(const Request& request, u32 written_bytes, u16 queue = 0) {
        return host.driver(queue).take_used() == DriverQueue::Used{request.id, written_bytes};
    }
    [[nodiscard]] bool is_idle(u16 queue = 0) { return !host.driver(queue).take_used(); }

    TestRam ram{u64{1} << 20};
    FakeBlockBackend disk;
    FakeDeviceHost host;
    std::unique_ptr<Block> block;
};

}  // namespace mayfly
