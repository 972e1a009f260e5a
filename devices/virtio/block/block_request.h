// SPDX-License-Identifier: Apache-2.0
// BlockRequest: what a chain asks of a disk, checked. Nothing here starts I/O or writes guest memory.
//
// Thread: values. Spec: virtio 1.2 §5.2.6 "Device Operation".
#pragma once

#include <span>

#include <sys/uio.h>

#include "devices/virtio/block/block_backend.h"
#include "devices/virtio/block/block_spec.h"
#include "devices/virtio/queue/chain.h"

namespace mayfly {

/// Segments of data in one request, which the driver reads as seg_max.
constexpr u32 kBlockSegmentsMax = 126;
/// The size of a segment that drivers read. Only the sum is enforced: one request is at most 31.5 MiB of
/// work, so that devices on the same thread or processor do not wait for long.
constexpr u32 kBlockSegmentBytesMax = u32{256} << 10;
constexpr u64 kBlockTransferBytesMax = u64{kBlockSegmentsMax} * kBlockSegmentBytesMax;
/// Per DISCARD and WRITE_ZEROES request: one segment of at most 2 GiB. One request is one operation of the
/// host's file system, and a larger one would hold up all requests behind it.
constexpr u32 kBlockRangesMax = 1;
constexpr u32 kBlockRangeSectorsMax = u32{1} << 22;
/// Zeroes may have to be written: 32 MiB.
constexpr u32 kBlockZeroSectorsMax = u32{1} << 16;

/// What disk and driver negotiated.
struct BlockRules {
    u64 sector_count = 0;
    bool is_read_only = false;
    bool has_discard = false;
    bool has_write_zeroes = false;
    bool is_legacy = false;  ///< no VERSION_1
};

enum class BlockStep : u8 {
    Malformed,  ///< no header, or no byte for the status: it cannot even be answered
    Answer,     ///< done: `status` says how
    Identify,   ///< `data` takes the id
    Start,      ///< for the backend
};

struct BlockRequest {
    BlockStep step = BlockStep::Malformed;
    u8 status = blk::S_OK;
    BlockIoKind kind = BlockIoKind::Read;
    bool may_unmap = false;
    u64 offset_bytes = 0;
    u64 size_bytes = 0;
    std::span<iovec> data;      ///< lies in the chain's storage
    void* status_at = nullptr;  ///< one byte of guest memory
};

/// Changes the chain's parts in place.
[[nodiscard]] BlockRequest parse_block_request(Chain& chain, const BlockRules& rules);

}  // namespace mayfly
