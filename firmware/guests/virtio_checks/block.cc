// SPDX-License-Identifier: Apache-2.0
// A disk: what is written is read, errors are errors, and a reset at a bad moment loses nothing.
// Overwrites the first 8 MiB of a writable disk.
// Spec: virtio 1.2 §5.2 "Block Device".
#include "firmware/guests/runtime/boot_info.h"
#include "firmware/guests/runtime/virtio_block.h"
#include "firmware/guests/virtio_checks/checks.h"

namespace guest::checks {
namespace {

using virtio::Block;
using virtio::BlockRequest;
using virtio::kBlockIoError;
using virtio::kBlockOk;
using virtio::kBlockUnsupported;
using virtio::kSectorBytes;

constexpr u32 kBufferBytes = 128 << 10;
constexpr u16 kDepth = 32;
constexpr u32 kDeepBytes = 64 << 10;
constexpr u64 kKeptSector = 4096;  // 2 MiB
constexpr u64 kDeepSector = 8192;  // 4 MiB, 2 MiB of it
constexpr u64 kLastSectorNeeded = 16384;

constinit Block disk;
constinit u64 buffer = 0;
constinit u64 other = 0;
constinit u64 deep = 0;

bool start(const Transport& transport, const Plan& plan) {
    constexpr u64 kWanted = virtio::kBlockFlush | virtio::kBlockQueues | virtio::kBlockDiscard |
                            virtio::kBlockWriteZeroes | virtio::kBlockReadOnly | virtio::kBlockWriteback;
    io_memory::release_all();
    u16 vector = virtio::kNoVector;
    if (!virtio::connect_interrupts(transport, plan.interrupt, vector)) return false;
    if (!disk.start(transport, kWanted | plan.ring_features, Block::kQueuesMax, vector)) return false;
    buffer = io_memory::allocate(kBufferBytes, 4096);
    other = io_memory::allocate(kBufferBytes, 4096);
    deep = io_memory::allocate(u64{kDepth} * kDeepBytes, 4096);
    return true;
}

bool write_and_read(u64 sector, u32 size_bytes, u64 seed, u16 queue) {
    fill(buffer, size_bytes, seed);
    fill(other, size_bytes, ~seed);
    return disk.request(BlockRequest::Write, sector, buffer, size_bytes, queue) == kBlockOk &&
           disk.request(BlockRequest::Read, sector, other, size_bytes, queue) == kBlockOk &&
           is_filled(other, size_bytes, seed);
}

void check_sizes() {
    bool good = true;
    u64 seed = 1;
    constexpr u32 kSizes[] = {512, 1024, 4096, 65536, kBufferBytes};
    for (const u32 size_bytes : kSizes) {
        good = good && write_and_read(seed * 511, size_bytes, seed, 0);
        ++seed;
    }
    expect("blk write and read", good);
    expect("blk first sector", write_and_read(0, kSectorBytes, seed, 0));
    const u64 last = disk.capacity_sectors() - 1;
    expect("blk last sector", disk.request(BlockRequest::Read, last, other, kSectorBytes) == kBlockOk);
}

/// A request whose data is cut into odd pieces, more than an indirect table of ours holds.
void check_pieces() {
    constexpr u32 kBytes = 8192;
    constexpr u32 kPieces[] = {8, 504, 1000, 3000, 3680};
    fill(buffer, kBytes, 77);
    fill(other, kBytes, 78);
    virtio::Segment parts[5];
    u64 at = buffer;
    for (u32 n = 0; n < 5; ++n) {
        parts[n] = {at, kPieces[n], false};
        at += kPieces[n];
    }
    bool good = disk.submit_parts(0, 1, BlockRequest::Write, 3000, parts, 5);
    disk.queue(0).kick();
    good = good && disk.wait(0, 1) == 1 && disk.status(1) == kBlockOk;
    at = other;
    for (u32 n = 0; n < 5; ++n) {
        parts[n] = {at, kPieces[4 - n], true};
        at += kPieces[4 - n];
    }
    good = good && disk.submit_parts(0, 2, BlockRequest::Read, 3000, parts, 5);
    disk.queue(0).kick();
    expect("blk data in pieces",
           good && disk.wait(0, 1) == 1 && disk.status(2) == kBlockOk && is_filled(other, kBytes, 77));
}

void check_queues() {
    bool good = true;
    for (u16 n = 0; n < disk.queue_count(); ++n)
        good = good && write_and_read(1000U + n * 8, 4096, 100U + n, n) &&
               disk.request(BlockRequest::Read, 1000, other, 4096, n) == kBlockOk &&
               is_filled(other, 4096, 100);
    expect_equal("blk queues", disk.queue_count(), good ? disk.queue_count() : 0);
}

void check_commands() {
    expect("blk flush", disk.request(BlockRequest::Flush, 0, 0, 0) == kBlockOk);
    fill(buffer, 24, 5);
    const u8 status = disk.request(BlockRequest::GetId, 0, buffer, 20);
    Line line;
    line.add("blk id ");
    for (u64 n = 0; n < 20 && io_memory::at<u8>(buffer + n) != 0; ++n) {
        const char letter = static_cast<char>(io_memory::at<u8>(buffer + n));
        line.add({&letter, 1});
    }
    line.print_line();
    expect_equal("blk get id", kBlockOk, status);
    const u8 unknown = disk.request(static_cast<BlockRequest>(99), 0, buffer, kSectorBytes);
    expect_equal("blk unknown request", kBlockUnsupported, unknown);
}

u8 request_range(BlockRequest type, u64 sector, u32 sector_count, u32 flags) {
    auto& range = io_memory::at<virtio::BlockRange>(buffer);
    range.sector = sector;
    range.sector_count = sector_count;
    range.flags = flags;
    return disk.request(type, 0, buffer, sizeof(virtio::BlockRange));
}

void check_ranges() {
    constexpr u64 kSector = 2048;
    constexpr u32 kSectors = 16;
    if ((disk.features() & virtio::kBlockWriteZeroes) != 0) {
        for (u32 flags = 0; flags < 2; ++flags) {
            bool good = write_and_read(kSector, kSectors * kSectorBytes, 200 + flags, 0);
            good = good && request_range(BlockRequest::WriteZeroes, kSector + 4, 8, flags) == kBlockOk;
            good = good && disk.request(BlockRequest::Read, kSector + 4, other, 8 * kSectorBytes) == kBlockOk;
            good = good && is_all(other, 8 * kSectorBytes, 0);
            good = good && disk.request(BlockRequest::Read, kSector, other, 4 * kSectorBytes) == kBlockOk;
            good = good && is_filled(other, 4 * kSectorBytes, 200 + flags);
            expect(flags == 0 ? Text("blk write zeroes") : Text("blk write zeroes, unmapped"), good);
        }
        const u8 beyond = request_range(BlockRequest::WriteZeroes, disk.capacity_sectors() - 1, 2, 0);
        expect_equal("blk zeroes beyond the end", kBlockIoError, beyond);
    }
    if ((disk.features() & virtio::kBlockDiscard) != 0) {
        expect_equal("blk discard", kBlockOk, request_range(BlockRequest::Discard, 6144, 2048, 0));
        const u8 beyond = request_range(BlockRequest::Discard, disk.capacity_sectors(), 8, 0);
        expect_equal("blk discard beyond the end", kBlockIoError, beyond);
    }
}

void check_limits() {
    const u64 end = disk.capacity_sectors();
    expect_equal("blk read beyond the end", kBlockIoError,
                 disk.request(BlockRequest::Read, end, other, kSectorBytes));
    expect_equal("blk read across the end", kBlockIoError,
                 disk.request(BlockRequest::Read, end - 1, other, 2 * kSectorBytes));
    expect_equal("blk read at 2^63", kBlockIoError,
                 disk.request(BlockRequest::Read, u64{1} << 63, other, kSectorBytes));
    expect_equal("blk read of half a sector", kBlockIoError, disk.request(BlockRequest::Read, 0, other, 256));
}

/// Many at once, one doorbell, each slot's completion once.
void submit_all(BlockRequest type) {
    for (u16 n = 0; n < kDepth; ++n)
        disk.submit(0, n, type, kDeepSector + u64{n} * kDeepBytes / kSectorBytes, deep + u64{n} * kDeepBytes,
                    kDeepBytes);
    disk.queue(0).kick();
}

void check_depth() {
    for (u16 n = 0; n < kDepth; ++n) fill(deep + u64{n} * kDeepBytes, kDeepBytes, 300U + n);
    submit_all(BlockRequest::Write);
    bool good = disk.wait(0, kDepth) == kDepth;
    fill(deep, u64{kDepth} * kDeepBytes, 1);
    submit_all(BlockRequest::Read);
    u32 seen = 0;
    for (u16 n = 0; n < kDepth; ++n) {
        virtio::Completion completion{};
        good = good && take_one(disk.queue(0), completion) && disk.status(completion.token) == kBlockOk &&
               completion.written_bytes == kDeepBytes + 1;
        seen ^= u32{1} << completion.token;
    }
    for (u16 n = 0; n < kDepth; ++n)
        good = good && is_filled(deep + u64{n} * kDeepBytes, kDeepBytes, 300U + n);
    expect("blk 32 in flight", good && seen == ~u32{0});
}

void check_interrupts() {
    virtio::Virtqueue& queue = disk.queue(0);
    const volatile u32& seen = virtio::interrupts_seen;
    // The first notification with EVENT_IDX may come in any case: the device has no last one to compare with.
    // It has come, however busy the host is, when the device has done another request.
    bool good = disk.request(BlockRequest::Read, 0, other, kSectorBytes) == kBlockOk;
    good = good && disk.request(BlockRequest::Read, 0, other, kSectorBytes) == kBlockOk;
    spin(kQuietMicroseconds);
    u32 before = seen;
    good = good && disk.request(BlockRequest::Read, 0, other, kSectorBytes) == kBlockOk;
    spin(kQuietMicroseconds);
    expect("blk no interrupt unasked", good && seen == before);
    queue.want_interrupts(true);
    for (u32 n = 0; n < 4 && good; ++n) {
        // Taken only after the interrupt: a completion taken before needs none.
        before = seen;
        good = disk.submit(0, 0, BlockRequest::Read, n, other, kSectorBytes) && good;
        queue.kick();
        good = spin_for(seen, before + 1, kArrivalMicroseconds) && good;
        good = disk.wait(0, 1) == 1 && disk.status(0) == kBlockOk && good;
    }
    expect("blk interrupts", good);
    queue.want_interrupts(false);
}

/// After a reset the device touches nothing, and acknowledged writes are there.
void check_reset(const Transport& transport, const Plan& plan) {
    bool good = write_and_read(kKeptSector, 65536, 400, 0);
    good = good && disk.request(BlockRequest::Flush, 0, 0, 0) == kBlockOk;
    for (u32 round = 0; round < 4 && good; ++round) {
        fill(deep, u64{kDepth} * kDeepBytes, 401 + round);
        submit_all(BlockRequest::Read);
        spin(round * 20);
        good = transport.reset();
        const u64 first = digest(buffer, io_memory::next - buffer);
        const u64 rings = digest(io_memory::kFirst, buffer - io_memory::kFirst);
        spin(kQuietMicroseconds);
        good = good && digest(buffer, io_memory::next - buffer) == first;
        good = good && digest(io_memory::kFirst, buffer - io_memory::kFirst) == rings;
        if (!good) break;
        good = start(transport, plan);
        good = good && disk.request(BlockRequest::Read, kKeptSector, other, 65536) == kBlockOk;
        good = good && is_filled(other, 65536, 400);
    }
    expect("blk reset with reads in flight", good);
    fill(deep, u64{kDepth} * kDeepBytes, 410);
    submit_all(BlockRequest::Write);
    good = good && transport.reset() && start(transport, plan);
    good = good && write_and_read(kKeptSector + 128, 4096, 411, 0);
    good = good && disk.request(BlockRequest::Read, kKeptSector, other, 65536) == kBlockOk;
    expect("blk reset with writes in flight", good && is_filled(other, 65536, 400));
}

void check_writeback(const Transport& transport) {
    constexpr u32 kConfigWriteback = 32;
    if ((disk.features() & virtio::kBlockWriteback) == 0) return;
    transport.write_config8(kConfigWriteback, 0);
    bool good = transport.config8(kConfigWriteback) == 0 && write_and_read(64, 4096, 500, 0);
    transport.write_config8(kConfigWriteback, 1);
    good = good && transport.config8(kConfigWriteback) == 1;
    expect("blk write-back switched", good);
}

}  // namespace

void check_block(const Transport& transport, const Plan& plan) {
    if (!start(transport, plan)) return;
    Line line;
    line.add("blk sectors ").add_decimal(disk.capacity_sectors()).add(" queues ");
    line.add_decimal(disk.queue_count()).add(" features ").add_hex(disk.features()).print_line();
    if (plan.interrupt != virtio::Interrupt::None) check_interrupts();
    check_limits();
    if ((disk.features() & virtio::kBlockReadOnly) != 0) {
        expect_equal("blk write to a read-only disk", kBlockIoError,
                     disk.request(BlockRequest::Write, 0, buffer, kSectorBytes));
        expect_equal("blk read of a read-only disk", kBlockOk,
                     disk.request(BlockRequest::Read, 0, buffer, kSectorBytes));
    } else if (disk.capacity_sectors() < kLastSectorNeeded) {
        fail("blk: the disk is smaller than 8 MiB");
    } else {
        check_sizes();
        check_pieces();
        check_queues();
        check_commands();
        check_ranges();
        check_depth();
        if (transport.kind() != virtio::Kind::Legacy) check_writeback(transport);
        check_reset(transport, plan);
    }
    expect("blk sound at the end", (transport.status() & virtio::kNeedsReset) == 0 && transport.reset());
}

}  // namespace guest::checks
