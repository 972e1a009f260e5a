// SPDX-License-Identifier: Apache-2.0
// BlockBackend: where a disk's bytes are. The implementation knows the file and the system calls.
#pragma once

#include <optional>
#include <span>

#include <sys/uio.h>

#include "vmm/error/ints.h"

namespace mayfly {

enum class BlockIoKind : u8 { Read, Write, Flush, Discard, WriteZeroes };

struct BlockIo;

/// Called on the I/O thread, without the device's lock.
class BlockIoClient {
  public:
    BlockIoClient() = default;
    BlockIoClient(const BlockIoClient&) = delete;
    BlockIoClient& operator=(const BlockIoClient&) = delete;
    virtual ~BlockIoClient() = default;

    virtual void on_block_io_done(BlockIo& io, i32 result) = 0;
};

/// One operation. Lives until it is done; its ranges are guest memory, checked.
struct BlockIo {
    BlockIoClient* client = nullptr;
    BlockIoKind kind = BlockIoKind::Read;
    /// Write: on the medium before it is done (the driver has no flush, or turned the cache off).
    bool is_write_through = false;
    bool may_unmap = false;  ///< WriteZeroes: the blocks may be deallocated
    u64 offset_bytes = 0;    ///< inside the disk, checked by the device, as is the end
    u64 size_bytes = 0;      ///< the sum of `parts` for Read and Write
    std::span<iovec> parts;  ///< the backend may change them while it works
};

struct BlockGeometry {
    u64 size_bytes = 0;  ///< a multiple of 512
    u32 logical_block_bytes = 512;
    u32 physical_block_bytes = 512;
    bool is_read_only = false;
    bool can_discard = false;
    bool can_write_zeroes = false;
    u32 discard_alignment_bytes = 0;  ///< 0: none
};

/// Thread: start() under the device's lock, by the vCPU thread before attach and by the I/O thread after it.
class BlockBackend {
  public:
    BlockBackend() = default;
    BlockBackend(const BlockBackend&) = delete;
    BlockBackend& operator=(const BlockBackend&) = delete;
    virtual ~BlockBackend() = default;

    [[nodiscard]] virtual BlockGeometry geometry() const = 0;
    /// Does `io`, or begins to. \returns 0 or -errno when `io` is done already; empty when the client will be
    /// called. Short reads and writes are continued inside; a file that ends early is -EIO.
    [[nodiscard]] virtual std::optional<i32> start(BlockIo& io) = 0;
    /// Any thread: makes operations in flight end soon where the kernel can; they complete with -ECANCELED.
    virtual void cancel_all() = 0;
};

}  // namespace mayfly
