// SPDX-License-Identifier: Apache-2.0
// Parsing of disk requests, from parts that lie in plain memory.
#include "devices/virtio/block/block_request.h"

#include <array>
#include <cstring>
#include <numeric>
#include <vector>

#include <catch2/catch.hpp>

namespace {

using namespace mayfly;

constexpr u64 kSectors = 1000;
constexpr BlockRules kDisk{.sector_count = kSectors, .has_discard = true, .has_write_zeroes = true};

/// A request's bytes, and the parts into which a driver cuts them.
class Cut {
  public:
    Cut(u32 type, u64 sector) {
        readable_.resize(16);
        std::memcpy(readable_.data(), &type, 4);
        std::memcpy(readable_.data() + 8, &sector, 8);
    }
    Cut& out(std::size_t size_bytes) {
        readable_.resize(readable_.size() + size_bytes);
        return *this;
    }
    Cut& range(u64 sector, u32 count, u32 flags) {
        const std::size_t at = readable_.size();
        readable_.resize(at + 16);
        std::memcpy(readable_.data() + at, &sector, 8);
        std::memcpy(readable_.data() + at + 8, &count, 4);
        std::memcpy(readable_.data() + at + 12, &flags, 4);
        return *this;
    }
    /// Device-writable bytes, the status among them.
    Cut& in(std::size_t size_bytes) {
        writable_.resize(size_bytes);
        return *this;
    }
    Cut& header_bytes(std::size_t size_bytes) {
        readable_.resize(size_bytes);
        return *this;
    }

    /// Both sides as one part each; an empty side has none.
    BlockRequest parse(const BlockRules& rules = kDisk) {
        return parse_pieces({readable_.size()}, {writable_.size()}, rules);
    }
    BlockRequest parse_pieces(const std::vector<std::size_t>& readable,
                              const std::vector<std::size_t>& writable, const BlockRules& rules = kDisk) {
        parts_.clear();
        cut(readable_, readable);
        const std::size_t split = parts_.size();
        cut(writable_, writable);
        Chain chain{.token = {},
                    .readable = std::span(parts_).first(split),
                    .writable = std::span(parts_).subspan(split),
                    .readable_bytes = readable_.size(),
                    .writable_bytes = writable_.size()};
        return parse_block_request(chain, rules);
    }

    [[nodiscard]] const std::byte* readable_at(std::size_t offset) const { return readable_.data() + offset; }
    [[nodiscard]] const std::byte* writable_at(std::size_t offset) const { return writable_.data() + offset; }

  private:
    void cut(std::vector<std::byte>& bytes, const std::vector<std::size_t>& sizes) {
        if (bytes.empty()) return;
        REQUIRE(std::accumulate(sizes.begin(), sizes.end(), std::size_t{0}) == bytes.size());
        std::size_t at = 0;
        for (const std::size_t size : sizes) {
            if (size == 0) continue;  // a chain's parts are never empty
            parts_.push_back({bytes.data() + at, size});
            at += size;
        }
    }

    std::vector<std::byte> readable_;
    std::vector<std::byte> writable_;
    std::vector<iovec> parts_;
};

u64 size_of(std::span<const iovec> parts) {
    u64 total = 0;
    for (const iovec& part : parts) total += part.iov_len;
    return total;
}

bool answers(const BlockRequest& request, u8 status) {
    return request.step == BlockStep::Answer && request.status == status;
}

}  // namespace

TEST_CASE("block request: a read's data is its writable bytes without the last", "[block]") {
    Cut cut(0, 7);
    cut.in(1024 + 1);
    const BlockRequest request = cut.parse();
    REQUIRE(request.step == BlockStep::Start);
    CHECK(request.kind == BlockIoKind::Read);
    CHECK(request.offset_bytes == 7 * 512);
    CHECK(request.size_bytes == 1024);
    REQUIRE(request.data.size() == 1);
    CHECK(request.data[0].iov_base == cut.writable_at(0));
    CHECK(request.data[0].iov_len == 1024);
    CHECK(request.status_at == cut.writable_at(1024));
}

TEST_CASE("block request: a write's data is its readable bytes after the header", "[block]") {
    Cut cut(1, 998);
    cut.out(1024).in(1);
    const BlockRequest request = cut.parse();
    REQUIRE(request.step == BlockStep::Start);
    CHECK(request.kind == BlockIoKind::Write);
    CHECK(request.offset_bytes == 998 * 512);
    REQUIRE(request.data.size() == 1);
    CHECK(request.data[0].iov_base == cut.readable_at(16));
    CHECK(request.data[0].iov_len == 1024);
    CHECK(request.status_at == cut.writable_at(0));
}

TEST_CASE("block request: header, data and status may be cut anywhere", "[block]") {
    const std::size_t first = GENERATE(as<std::size_t>{}, 0, 1, 7, 15, 16, 17, 500);
    const std::size_t second = GENERATE(as<std::size_t>{}, 0, 1, 16, 511);
    const std::size_t size = 16 + 1024;
    Cut write(1, 0);
    write.out(1024).in(3);
    const BlockRequest written =
        write.parse_pieces({first, second, size - first - second}, {1, 0, 2, 0}, kDisk);
    REQUIRE(written.step == BlockStep::Start);
    CHECK(size_of(written.data) == 1024);
    CHECK(written.data.front().iov_base != nullptr);
    CHECK(written.data.front().iov_len > 0);
    CHECK(static_cast<const std::byte*>(written.data.back().iov_base) + written.data.back().iov_len ==
          write.readable_at(size));
    CHECK(written.status_at == write.writable_at(2));

    Cut read(0, 0);
    read.in(513);
    const BlockRequest got = read.parse_pieces({1, 15}, {first, 513 - first}, kDisk);
    REQUIRE(got.step == BlockStep::Start);
    CHECK(size_of(got.data) == 512);
    CHECK(got.data.front().iov_base == read.writable_at(0));
    CHECK(got.status_at == read.writable_at(512));
}

TEST_CASE("block request: without a whole header or a status byte there is nothing to answer", "[block]") {
    Cut short_header(0, 0);
    CHECK(short_header.header_bytes(15).in(513).parse().step == BlockStep::Malformed);
    Cut no_header(0, 0);
    CHECK(no_header.header_bytes(0).in(513).parse().step == BlockStep::Malformed);
    Cut no_status(1, 0);
    CHECK(no_status.out(512).parse().step == BlockStep::Malformed);
    Cut empty_status(4, 0);
    CHECK(empty_status.in(0).parse().step == BlockStep::Malformed);
}

TEST_CASE("block request: data that is not a whole number of sectors is an error", "[block]") {
    const std::size_t size = GENERATE(as<std::size_t>{}, 1, 511, 513, 1023);
    CHECK(answers(Cut(0, 0).in(size + 1).parse(), 1));
    CHECK(answers(Cut(1, 0).out(size).in(1).parse(), 1));
}

TEST_CASE("block request: an empty one succeeds without I/O, if its sector is on the disk", "[block]") {
    CHECK(answers(Cut(0, kSectors).in(1).parse(), 0));
    CHECK(answers(Cut(1, 0).in(1).parse(), 0));
    CHECK(answers(Cut(0, kSectors + 1).in(1).parse(), 1));
}

TEST_CASE("block request: a range that leaves the disk is an error", "[block]") {
    const u64 sector = GENERATE(kSectors - 1, kSectors, kSectors + 1, u64{1} << 55, (u64{1} << 63) - 1,
                                ~u64{0}, ~u64{0} - 1);
    CHECK(answers(Cut(0, sector).in(1025).parse(), 1));
    CHECK(answers(Cut(1, sector).out(1024).in(1).parse(), 1));
    CHECK(answers(Cut(11, 0).range(sector, 2, 0).in(1).parse(), 1));
    CHECK(answers(Cut(13, 0).range(sector, 2, 1).in(1).parse(), 1));
}

TEST_CASE("block request: the last sectors are on the disk", "[block]") {
    CHECK(Cut(0, kSectors - 2).in(1025).parse().step == BlockStep::Start);
    CHECK(Cut(13, 0).range(kSectors - 2, 2, 0).in(1).parse().step == BlockStep::Start);
}

TEST_CASE("block request: a read-only disk answers writes with an error", "[block]") {
    const BlockRules disk{.sector_count = kSectors, .is_read_only = true};
    CHECK(answers(Cut(1, 0).out(512).in(1).parse(disk), 1));
    CHECK(answers(Cut(1, 0).in(1).parse(disk), 1));
    CHECK(Cut(0, 0).in(513).parse(disk).step == BlockStep::Start);
}

TEST_CASE("block request: discard and write zeroes carry one range", "[block]") {
    const BlockRequest discard = Cut(11, 0).range(10, 20, 0).in(1).parse();
    REQUIRE(discard.step == BlockStep::Start);
    CHECK(discard.kind == BlockIoKind::Discard);
    CHECK(discard.offset_bytes == 10 * 512);
    CHECK(discard.size_bytes == 20 * 512);
    CHECK(discard.data.empty());
    const BlockRequest zeroes = Cut(13, 0).range(1, 2, 1).in(1).parse();
    REQUIRE(zeroes.step == BlockStep::Start);
    CHECK(zeroes.kind == BlockIoKind::WriteZeroes);
    CHECK(zeroes.may_unmap);
    CHECK_FALSE(Cut(13, 0).range(1, 2, 0).in(1).parse().may_unmap);

    const u32 type = GENERATE(as<u32>{}, 11, 13);
    CHECK(answers(Cut(type, 0).in(1).parse(), 1));
    CHECK(answers(Cut(type, 0).out(15).in(1).parse(), 1));
    CHECK(answers(Cut(type, 0).range(0, 1, 0).out(1).in(1).parse(), 1));
    CHECK(answers(Cut(type, 0).range(0, 1, 0).range(1, 1, 0).in(1).parse(), 1));
    CHECK(answers(Cut(type, 0).range(5, 0, 0).in(1).parse(), 0));
}

TEST_CASE("block request: a range's header and fields may be cut anywhere too", "[block]") {
    Cut cut(11, 0);
    cut.range(3, 4, 0).in(1);
    const BlockRequest request = cut.parse_pieces({9, 12, 1, 10}, {1});
    REQUIRE(request.step == BlockStep::Start);
    CHECK(request.offset_bytes == 3 * 512);
    CHECK(request.size_bytes == 4 * 512);
}

TEST_CASE("block request: unknown flags are unsupported, before any other check", "[block]") {
    CHECK(answers(Cut(11, 0).range(0, 1, 1).in(1).parse(), 2));
    CHECK(answers(Cut(11, 0).range(kSectors, 1, 2).in(1).parse(), 2));
    CHECK(answers(Cut(13, 0).range(0, 1, 3).in(1).parse(), 2));
    CHECK(answers(Cut(13, 0).range(0, 0, 0x8000'0000).in(1).parse(), 2));
}

TEST_CASE("block request: a range above the limit in the configuration is an error", "[block]") {
    const BlockRules huge{.sector_count = u64{1} << 40, .has_discard = true};
    CHECK(Cut(11, 0).range(0, 1 << 22, 0).in(1).parse(huge).step == BlockStep::Start);
    CHECK(answers(Cut(11, 0).range(0, (1 << 22) + 1, 0).in(1).parse(huge), 1));
    CHECK(answers(Cut(11, 0).range(0, ~u32{0}, 0).in(1).parse(huge), 1));
    const BlockRules zeroes{.sector_count = u64{1} << 40, .has_write_zeroes = true};
    CHECK(Cut(13, 0).range(0, 1 << 16, 0).in(1).parse(zeroes).step == BlockStep::Start);
    CHECK(answers(Cut(13, 0).range(0, (1 << 16) + 1, 0).in(1).parse(zeroes), 1));
}

TEST_CASE("block request: data beyond 126 times 256 KiB is an error, in however few segments", "[block]") {
    constexpr std::size_t kMost = 126 * 256 * 1024;
    const BlockRules huge{.sector_count = u64{1} << 40};
    CHECK(Cut(0, 0).in(kMost + 1).parse(huge).step == BlockStep::Start);
    CHECK(answers(Cut(0, 0).in(kMost + 512 + 1).parse(huge), 1));
    CHECK(Cut(1, 0).out(kMost).in(1).parse(huge).step == BlockStep::Start);
    CHECK(answers(Cut(1, 0).out(kMost + 512).in(1).parse(huge), 1));
}

TEST_CASE("block request: a request type that was not negotiated is unsupported", "[block]") {
    const BlockRules plain{.sector_count = kSectors};
    CHECK(answers(Cut(11, 0).range(0, 1, 0).in(1).parse(plain), 2));
    CHECK(answers(Cut(13, 0).range(0, 1, 0).in(1).parse(plain), 2));
    const u32 type =
        GENERATE(as<u32>{}, 2, 3, 5, 6, 7, 9, 10, 12, 14, 15, 16, 0x8000'0000, 0x8000'0001, 0xffff'ffff);
    CHECK(answers(Cut(type, 0).out(512).in(513).parse(plain), 2));
}

TEST_CASE("block request: a legacy driver's barrier is dropped and its other flush is a flush", "[block]") {
    const BlockRules legacy{.sector_count = kSectors, .is_legacy = true};
    const BlockRequest write = Cut(0x8000'0001, 3).out(512).in(1).parse(legacy);
    CHECK(write.step == BlockStep::Start);
    CHECK(write.kind == BlockIoKind::Write);
    const BlockRequest flush = Cut(5, 0).in(1).parse(legacy);
    CHECK(flush.step == BlockStep::Start);
    CHECK(flush.kind == BlockIoKind::Flush);
    CHECK(answers(Cut(2, 0).in(513).parse(legacy), 2));
}

TEST_CASE("block request: a flush ignores sector and data", "[block]") {
    const BlockRequest request = Cut(4, ~u64{0}).out(33).in(7).parse();
    CHECK(request.step == BlockStep::Start);
    CHECK(request.kind == BlockIoKind::Flush);
    CHECK(request.data.empty());
    CHECK(request.size_bytes == 0);
}

TEST_CASE("block request: the id takes 20 bytes, neither more nor less", "[block]") {
    CHECK(Cut(8, 0).in(21).parse().step == BlockStep::Identify);
    const std::size_t size = GENERATE(as<std::size_t>{}, 0, 1, 19, 21, 512);
    CHECK(answers(Cut(8, 0).in(size + 1).parse(), 1));
}

TEST_CASE("block request: more data segments than the configuration allows are an error", "[block]") {
    Cut cut(1, 0);
    cut.out(126 * 512).in(1);
    std::vector<std::size_t> pieces(127, 512);
    pieces[0] = 16;
    CHECK(cut.parse_pieces(pieces, {1}).step == BlockStep::Start);
    pieces[5] = 256;
    pieces.push_back(256);
    CHECK(answers(cut.parse_pieces(pieces, {1}), 1));
}
