// SPDX-License-Identifier: Apache-2.0
// Block operations on a file by ordinary system calls, and the steps that they share with the ring's.
// Thread: any; a BlockIo has one user at a time.
#pragma once

#include <array>
#include <optional>
#include <span>

#include <sys/uio.h>

#include "devices/virtio/block/block_backend.h"
#include "vmm/error/ints.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

/// As many parts as one system call takes. man readv(2), IOV_MAX.
[[nodiscard]] std::span<const iovec> parts_of_one_call(const BlockIo& io);

/// One preadv2 or pwritev2, repeated when a signal interrupts it. \returns bytes, or -errno.
[[nodiscard]] i64 transfer_once(const UniqueFd& fd, const BlockIo& io, u64 done_bytes, int rw_flags);
struct Transferred {
    i32 result;      ///< 0 or -errno; -EIO where the file ends early
    u64 done_bytes;  ///< how far it came, also on an error
};
/// From `done_bytes` on, until all is transferred.
[[nodiscard]] Transferred transfer_all(const UniqueFd& fd, BlockIo& io, u64 done_bytes, int rw_flags);

/// The modes of fallocate(2) for Discard and WriteZeroes.
[[nodiscard]] int fallocate_mode(const BlockIo& io);
/// Discard or WriteZeroes. Where the file cannot, nothing is discarded, and zeroes are written.
[[nodiscard]] i32 deallocate_now(const UniqueFd& fd, const BlockIo& io);
/// Zeroes to write: at most 1 MiB of the rest. `last` is for an odd size.
[[nodiscard]] std::span<const iovec> zero_parts(u64 left_bytes, iovec& last);

}  // namespace mayfly
