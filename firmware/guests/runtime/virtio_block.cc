// SPDX-License-Identifier: Apache-2.0
// Block requests: header, data, status byte.
#include "firmware/guests/runtime/virtio_block.h"

#include "firmware/guests/runtime/clock.h"
#include "firmware/guests/runtime/io_memory.h"

namespace guest::virtio {
namespace {

constexpr u32 kHeaderBytes = 16;
constexpr u64 kSlotBytes = 32;
constexpr u32 kPartsMax = 8;
constexpr u32 kTimeoutMicroseconds = 20'000'000;
constexpr u32 kConfigQueues = 34;

bool is_to_driver(BlockRequest type) { return type == BlockRequest::Read || type == BlockRequest::GetId; }

}  // namespace

bool Block::start(const Transport& transport, u64 wanted, u16 queues, u16 vector) {
    if (!negotiate(transport, wanted | kVersion1, features_)) return false;
    capacity_ = transport.config64(0);
    queue_count_ = 1;
    if ((features_ & kBlockQueues) != 0) {
        const u16 offered = static_cast<u16>(transport.config32(kConfigQueues - 2) >> 16);
        queue_count_ = offered < queues ? offered : queues;
    }
    if (queue_count_ > kQueuesMax) queue_count_ = kQueuesMax;
    headers_ = io_memory::allocate(kSlots * kSlotBytes, 64);
    for (u16 n = 0; n < queue_count_; ++n) {
        const u16 entry = vector == kNoVector ? kNoVector : static_cast<u16>(vector + n);
        if (!queues_[n].start(transport, n, Virtqueue::kSizeMax, features_, entry)) return false;
    }
    drive(transport);
    return true;
}

bool Block::submit_parts(u16 queue, u16 slot, BlockRequest type, u64 sector, const Segment* data, u32 parts) {
    const u64 header = headers_ + slot * kSlotBytes;
    io_memory::at<u32>(header) = static_cast<u32>(type);
    io_memory::at<u64>(header + 8) = sector;
    io_memory::at<u8>(header + kHeaderBytes) = kBlockNoAnswer;
    Segment segments[kPartsMax + 2];
    u32 count = 0;
    segments[count++] = {header, kHeaderBytes, false};
    for (u32 n = 0; n < parts && n < kPartsMax; ++n) segments[count++] = data[n];
    segments[count++] = {header + kHeaderBytes, 1, true};
    return queues_[queue].add(segments, count, slot);
}

bool Block::submit(u16 queue, u16 slot, BlockRequest type, u64 sector, u64 data, u32 size_bytes) {
    const Segment part{data, size_bytes, is_to_driver(type)};
    return submit_parts(queue, slot, type, sector, &part, size_bytes != 0 ? 1 : 0);
}

u8 Block::status(u16 slot) const { return io_memory::at<u8>(headers_ + slot * kSlotBytes + kHeaderBytes); }

u32 Block::wait(u16 queue, u32 count) {
    const u64 end = read_tsc() + tsc_ticks(kTimeoutMicroseconds);
    u32 came = 0;
    while (came < count && read_tsc() < end) {
        Completion completion;
        if (queues_[queue].take(completion)) {
            ++came;
        } else {
            pause();
        }
    }
    return came;
}

u8 Block::request(BlockRequest type, u64 sector, u64 data, u32 size_bytes, u16 queue) {
    if (!submit(queue, 0, type, sector, data, size_bytes)) return kBlockNoAnswer;
    queues_[queue].kick();
    return wait(queue, 1) == 1 ? status(0) : kBlockNoAnswer;
}

}  // namespace guest::virtio
