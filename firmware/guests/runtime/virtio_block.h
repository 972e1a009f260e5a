// SPDX-License-Identifier: Apache-2.0
// A driver for virtio block devices, with as many requests in flight as it has slots.
// Spec: virtio 1.2 §5.2 "Block Device".
#pragma once

#include "firmware/guests/runtime/virtqueue.h"

namespace guest::virtio {

constexpr u64 kBlockReadOnly = u64{1} << 5;
constexpr u64 kBlockFlush = u64{1} << 9;
constexpr u64 kBlockWriteback = u64{1} << 11;
constexpr u64 kBlockQueues = u64{1} << 12;
constexpr u64 kBlockDiscard = u64{1} << 13;
constexpr u64 kBlockWriteZeroes = u64{1} << 14;

enum class BlockRequest : u32 {
    Read = 0,
    Write = 1,
    Flush = 4,
    GetId = 8,
    Discard = 11,
    WriteZeroes = 13,
};

constexpr u8 kBlockOk = 0;
constexpr u8 kBlockIoError = 1;
constexpr u8 kBlockUnsupported = 2;
constexpr u8 kBlockNoAnswer = 0xee;  ///< ours: a status byte before the device answers

constexpr u32 kSectorBytes = 512;

/// The payload of Discard and WriteZeroes.
struct BlockRange {
    u64 sector;
    u32 sector_count;
    u32 flags;  ///< 1: may unmap
};

class Block final {
  public:
    static constexpr u16 kQueuesMax = 4;
    static constexpr u16 kSlots = 64;

    /// Negotiates those of `wanted` that the device has (ring features included), sets up to `queues` queues
    /// up and goes. Vectors: queue 0 has `vector`, and so on; with kNoVector no queue has one.
    bool start(const Transport& transport, u64 wanted, u16 queues, u16 vector);

    [[nodiscard]] u64 features() const { return features_; }
    [[nodiscard]] u64 capacity_sectors() const { return capacity_; }
    [[nodiscard]] u16 queue_count() const { return queue_count_; }
    Virtqueue& queue(u16 index) { return queues_[index]; }

    /// Makes a request available in a slot that is free; the completion's token is the slot. The data may be
    /// in two parts: then `first_bytes` are in the first.
    bool submit(u16 queue, u16 slot, BlockRequest type, u64 sector, u64 data, u32 size_bytes);
    bool submit_parts(u16 queue, u16 slot, BlockRequest type, u64 sector, const Segment* data, u32 parts);
    [[nodiscard]] u8 status(u16 slot) const;

    /// One request, waited for; kBlockNoAnswer after five seconds.
    u8 request(BlockRequest type, u64 sector, u64 data, u32 size_bytes, u16 queue = 0);
    /// Takes completions of a queue until `count` came; the number that came within five seconds.
    u32 wait(u16 queue, u32 count);

  private:
    u64 features_ = 0;
    u64 capacity_ = 0;
    u64 headers_ = 0;  ///< 32 bytes a slot: header, then the status byte
    u16 queue_count_ = 0;
    Virtqueue queues_[kQueuesMax];
};

}  // namespace guest::virtio
