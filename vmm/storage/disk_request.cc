// SPDX-License-Identifier: Apache-2.0
#include "vmm/storage/disk_request.h"

#include <cerrno>
#include <utility>

#include <sys/uio.h>

#include "devices/virtio/queue/chain.h"
#include "vmm/loop/loop.h"
#include "vmm/storage/disk_file.h"
#include "vmm/storage/file_transfer.h"

namespace mayfly {

namespace {

/// A kernel worker may be interrupted, or lack memory for a moment.
constexpr u8 kRetries = 16;

}  // namespace

void DiskRequest::begin(BlockIo& io, u64 done_bytes, u32 generation, bool is_direct) {
    io_ = &io;
    done_bytes_ = done_bytes;
    generation_ = generation;
    retries_left_ = kRetries;
    is_direct_ = is_direct;
    is_writing_zeroes_ = false;
    submit();
}

void DiskRequest::submit() {
    Loop& loop = disk_->loop();
    const u32 file = disk_->file(is_direct_);
    const u64 offset = io_->offset_bytes + done_bytes_;
    const u64 left = io_->size_bytes - done_bytes_;
    if (is_writing_zeroes_) return loop.writev(file, zero_parts(left, last_zeroes_), offset, 0, *this);
    switch (io_->kind) {
        case BlockIoKind::Read: return loop.readv(file, parts_of_one_call(*io_), offset, *this);
        case BlockIoKind::Write:
            return loop.writev(file, parts_of_one_call(*io_), offset, io_->is_write_through ? RWF_DSYNC : 0,
                               *this);
        case BlockIoKind::Flush: return loop.fsync(file, true, *this);
        case BlockIoKind::Discard:
        case BlockIoKind::WriteZeroes: return loop.fallocate(file, fallocate_mode(*io_), offset, left, *this);
    }
}

/// Whether the request continues after the kernel's error.
bool DiskRequest::retries(i32 result) {
    if (result == -EINTR || result == -EAGAIN) return retries_left_-- > 0;
    // The file system needs stricter alignment than it said. The page cache accepts any alignment.
    if (result == -EINVAL && is_direct_) {
        is_direct_ = false;
        return true;
    }
    if (result == -EOPNOTSUPP && io_->kind == BlockIoKind::WriteZeroes && !is_writing_zeroes_) {
        is_writing_zeroes_ = true;
        return true;
    }
    return false;
}

void DiskRequest::on_complete(i32 result, bool /*has_more*/) {
    const bool is_cancelled = generation_ != disk_->generation();
    if (result < 0) {
        if (!is_cancelled && retries(result)) return submit();
        if (result == -EOPNOTSUPP && io_->kind == BlockIoKind::Discard)
            return finish(0);  // only a hint, which the kernel refused
        return finish(is_cancelled ? -ECANCELED : result);
    }
    const bool is_transfer =
        io_->kind == BlockIoKind::Read || io_->kind == BlockIoKind::Write || is_writing_zeroes_;
    if (!is_transfer) return finish(0);
    if (result == 0) return finish(-EIO);  // the file ends before the disk does
    const auto moved = static_cast<u64>(result);
    done_bytes_ += moved;
    if (done_bytes_ >= io_->size_bytes) return finish(0);
    if (is_cancelled) return finish(-ECANCELED);
    if (!is_writing_zeroes_) io_->parts = drop_front(io_->parts, moved);
    is_direct_ = is_direct_ && disk_->is_aligned(*io_, done_bytes_);
    submit();
}

void DiskRequest::finish(i32 result) {
    BlockIo& io = *std::exchange(io_, nullptr);
    disk_->release(*this);
    io.client->on_block_io_done(io, result);
}

}  // namespace mayfly
