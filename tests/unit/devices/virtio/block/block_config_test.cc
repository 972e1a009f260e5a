// SPDX-License-Identifier: Apache-2.0
// Facts about a disk that a driver can read before its first request.
#include <bit>
#include <string>

#include "tests/unit/devices/virtio/block/block_rig.h"

namespace {

using namespace mayfly;

std::unique_ptr<Block> make(BlockBackend& disk, u16 queue_count = 1, u16 queue_size = 256) {
    auto made = Block::create(
        {.name = "disk7", .id = "", .queue_count = queue_count, .queue_size = queue_size}, disk);
    REQUIRE(made);
    return std::move(*made);
}

u64 field(const Block& block, std::size_t offset, std::size_t size) {
    u64 value = 0;
    REQUIRE(offset + size <= block.config().size());
    std::memcpy(&value, block.config().data() + offset, size);
    return value;
}

bool is_refused(Block::Options options, std::string_view with) {
    FakeBlockBackend disk;
    const auto made = Block::create(std::move(options), disk);
    return !made && made.error().message().find(with) != std::string::npos;
}

void write(Block& block, u32 offset, std::initializer_list<u8> bytes) {
    block.write_config(offset, std::as_bytes(std::span(bytes.begin(), bytes.size())));
}

}  // namespace

TEST_CASE("block config: a plain disk has size, block size and a cache that can be turned off", "[block]") {
    FakeBlockBackend disk({.size_bytes = 1000 * 512});
    const auto block = make(disk);
    CHECK(block->device_id() == 2);
    CHECK(block->name() == "disk7");
    CHECK_FALSE(block->needs_io_thread());
    CHECK(block->in_flight() == 0);
    REQUIRE(block->queue_sizes().size() == 1);
    CHECK(block->queue_sizes()[0] == 256);
    // SEG_MAX, BLK_SIZE, FLUSH, TOPOLOGY, CONFIG_WCE.
    CHECK(block->features() == (1U << 1 | 1U << 2 | 1U << 6 | 1U << 9 | 1U << 10 | 1U << 11));
    CHECK(block->config().size() == 72);
    CHECK(field(*block, 0, 8) == 1000);
    CHECK(field(*block, 8, 4) == 256 << 10);
    CHECK(field(*block, 12, 4) == 126);
    CHECK(field(*block, 16, 4) == 0);
    CHECK(field(*block, 20, 4) == 512);
    CHECK(field(*block, 24, 1) == 0);
    CHECK(field(*block, 25, 1) == 0);
    CHECK(field(*block, 26, 2) == 1);
    CHECK(field(*block, 28, 4) == 0);
    CHECK(field(*block, 32, 1) == 1);
    for (std::size_t offset = 33; offset < 72; ++offset) CHECK(field(*block, offset, 1) == 0);
}

TEST_CASE("block config: shows discard, zeroes, several queues and physical blocks", "[block]") {
    FakeBlockBackend disk({.size_bytes = 8 * 4096,
                           .logical_block_bytes = 512,
                           .physical_block_bytes = 4096,
                           .can_discard = true,
                           .can_write_zeroes = true,
                           .discard_alignment_bytes = 8192});
    const auto block = make(disk, 4, 128);
    CHECK((block->features() & (1U << 12 | 1U << 13 | 1U << 14)) == (1U << 12 | 1U << 13 | 1U << 14));
    CHECK(block->queue_sizes().size() == 4);
    CHECK(block->queue_sizes()[3] == 128);
    CHECK(field(*block, 24, 1) == 3);
    CHECK(field(*block, 26, 2) == 8);
    CHECK(field(*block, 34, 2) == 4);
    CHECK(field(*block, 36, 4) == 1 << 22);
    CHECK(field(*block, 40, 4) == 1);
    CHECK(field(*block, 44, 4) == 16);
    CHECK(field(*block, 48, 4) == 1 << 16);
    CHECK(field(*block, 52, 4) == 1);
    CHECK(field(*block, 56, 1) == 1);
}

TEST_CASE("block config: a read-only disk says so and offers nothing that writes", "[block]") {
    FakeBlockBackend disk(
        {.size_bytes = 512, .is_read_only = true, .can_discard = true, .can_write_zeroes = true});
    const auto block = make(disk);
    CHECK((block->features() & (1U << 5)) != 0);
    CHECK((block->features() & (1U << 13 | 1U << 14)) == 0);
    CHECK((block->features() & (1U << 9)) != 0);
}

TEST_CASE("block config: a short queue lowers the segments of a request", "[block]") {
    FakeBlockBackend disk;
    CHECK(field(*make(disk, 1, 4), 12, 4) == 2);
    CHECK(field(*make(disk, 1, 64), 12, 4) == 62);
    CHECK(field(*make(disk, 1, 1024), 12, 4) == 126);
}

TEST_CASE("block config: the driver writes writeback and nothing else, at any offset and size", "[block]") {
    FakeBlockBackend disk;
    const auto block = make(disk);
    const std::vector<std::byte> before(block->config().begin(), block->config().end());
    const std::array<std::byte, 80> ones = [] {
        std::array<std::byte, 80> bytes;
        bytes.fill(std::byte{0xff});
        return bytes;
    }();
    for (u32 offset = 0; offset <= 80; ++offset)
        for (const std::size_t size : std::initializer_list<std::size_t>{0, 1, 2, 4, 8, 80})
            block->write_config(offset, std::span(ones).first(size));
    block->write_config(~u32{0}, ones);
    CHECK(std::equal(before.begin(), before.end(), block->config().begin()));
    write(*block, 32, {0});
    CHECK(field(*block, 32, 1) == 0);
    write(*block, 31, {9, 7, 9});
    CHECK(field(*block, 32, 1) == 1);
    write(*block, 30, {1, 1, 0, 1});
    CHECK(field(*block, 32, 1) == 0);
    write(*block, 33, {1});
    write(*block, 31, {1});
    CHECK(field(*block, 32, 1) == 0);
}

TEST_CASE("block config: writeback begins at 0 for a driver that cannot flush, and is 1 again after reset",
          "[block]") {
    BlockRig rig({.size = 16}, kVersion1 | kConfigWce);
    CHECK(field(*rig.block, 32, 1) == 0);
    rig.block->stop();
    CHECK(field(*rig.block, 32, 1) == 1);
    rig.block->start(kUsualFeatures, rig.host);
    CHECK(field(*rig.block, 32, 1) == 1);
}

TEST_CASE("block: options outside their limits are refused with the limit", "[block]") {
    CHECK(
        is_refused({.name = "disk0", .id = "", .queue_count = 0}, "disk0: 0 queues, but a disk has 1 to 16"));
    CHECK(is_refused({.name = "disk0", .id = "", .queue_count = 17}, "1 to 16"));
    CHECK(is_refused({.name = "disk0", .id = "", .queue_size = 2},
                     "queue size 2 is not a power of two from 4"));
    CHECK(is_refused({.name = "disk0", .id = "", .queue_size = 100}, "to 1024"));
    CHECK(is_refused({.name = "disk0", .id = "", .queue_size = 2048}, "2048"));
    CHECK(is_refused({.name = "disk0", .id = "123456789012345678901"}, "has 21 bytes, at most 20 fit"));
}
