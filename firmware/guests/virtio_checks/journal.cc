// SPDX-License-Identifier: Apache-2.0
// A journal on a disk, for tests that kill the monitor or take its disk away: numbered batches of
// blocks, each flushed before the line "flushed N" is printed. Every printed batch must be on the disk.
//
// `count=N` batches, or as many as fit. Batch N is the N-th 32 KiB of the disk, and its blocks are filled as
// fill() does with 8 * N + 1 and up. A batch that cannot be written is printed and does not fail this guest.
// Spec: virtio 1.2 §5.2.6.2 "Device Requirements: Device Operation", on what a flush promises.
#include "firmware/guests/runtime/boot_info.h"
#include "firmware/guests/runtime/virtio_block.h"
#include "firmware/guests/virtio_checks/checks.h"

namespace guest::checks {
namespace {

using virtio::Block;
using virtio::BlockRequest;
using virtio::kBlockNoAnswer;
using virtio::kBlockOk;

constexpr u32 kBlockBytes = 4096;
constexpr u16 kBlocks = 8;
constexpr u64 kBatchSectors = u64{kBlocks} * kBlockBytes / virtio::kSectorBytes;

constinit Block disk;
constinit u64 buffer = 0;

/// The worst of its blocks' status bytes, and of the flush's.
u8 write_batch(u64 batch) {
    for (u16 n = 0; n < kBlocks; ++n) {
        const u64 at = buffer + u64{n} * kBlockBytes;
        fill(at, kBlockBytes, batch * kBlocks + n + 1);
        const u64 sector = batch * kBatchSectors + u64{n} * kBlockBytes / virtio::kSectorBytes;
        if (!disk.submit(0, n, BlockRequest::Write, sector, at, kBlockBytes)) return kBlockNoAnswer;
    }
    disk.queue(0).kick();
    if (disk.wait(0, kBlocks) != kBlocks) return kBlockNoAnswer;
    u8 worst = kBlockOk;
    for (u16 n = 0; n < kBlocks; ++n) worst = disk.status(n) > worst ? disk.status(n) : worst;
    const u8 flushed = disk.request(BlockRequest::Flush, 0, 0, 0);
    return flushed > worst ? flushed : worst;
}

}  // namespace

void check_journal(const Transport& transport, const Plan& plan) {
    io_memory::release_all();
    if (!disk.start(transport, virtio::kBlockFlush | plan.ring_features, 1, virtio::kNoVector)) return;
    buffer = io_memory::allocate(u64{kBlocks} * kBlockBytes, 4096);
    const u64 room = disk.capacity_sectors() / kBatchSectors;
    const u64 wanted = option_value("count", room);
    for (u64 batch = 0; batch < wanted && batch < room; ++batch) {
        const u8 status = write_batch(batch);
        if (status == kBlockNoAnswer) return fail("journal: the disk does not answer");
        Line line;
        line.add(status == kBlockOk ? Text("flushed ") : Text("refused ")).add_decimal(batch).print_line();
    }
    expect("journal written", (transport.status() & virtio::kNeedsReset) == 0 && transport.reset());
}

}  // namespace guest::checks
