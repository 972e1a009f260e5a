// SPDX-License-Identifier: Apache-2.0
// GuestRoom: whether Linux has room for the content of an initramfs, checked before the guest exists.
//
// Linux unpacks it into a file system in memory while the archive still lies beside it. That is a tmpfs,
// which may become half as large as the memory that was free when it was mounted, unless the command line
// names another root: then it is a ramfs, which has no limit. Files that do not fit are left out, with a line
// on a console that may not work yet. The forecast is a lower bound: it refuses nothing that would have
// fitted, and init finds the cases that it missed (firmware/init/job.h, kEndPath). Specification: Linux 6.12,
// init/do_mounts.c init_rootfs(), mm/shmem.c shmem_default_max_blocks(). Thread: any; values only.
#pragma once

#include <functional>
#include <optional>

#include "vmm/error/ints.h"
#include "vmm/error/result.h"

namespace mayfly {

/// The size of entries, in the archive and as files of the guest.
struct TreeBytes {
    u64 archive = 0;
    u64 blocks = 0;  ///< whole pages of regular files
    u64 inodes = 0;  ///< a count

    /// `content_bytes`: 0 for anything but a regular file, and for further names of one.
    void add(u64 entry_bytes, u64 content_bytes);
    /// Memory of the guest, roughly.
    [[nodiscard]] u64 unpacked() const;
};

struct GuestRoom {
    u64 memory_bytes = 0;
    /// The least that the kernel itself occupies from its start.
    u64 kernel_bytes = 0;
    bool is_tmpfs = false;
};

/// Called only where it matters, because it takes time.
using FindRoom = std::function<GuestRoom()>;

/// The most room for blocks of files beside an archive of `archive_bytes`.
[[nodiscard]] u64 room_for_blocks(const GuestRoom& room, u64 archive_bytes);

/// A --memory in which Linux surely has room, a multiple of 64 MiB.
[[nodiscard]] u64 memory_for(const GuestRoom& room, const TreeBytes& tree);

/// Why `tree` does not fit in `room`, with the memory that would suffice; empty where it may fit.
[[nodiscard]] std::optional<Error> why_too_large(const GuestRoom& room, const TreeBytes& tree);

}  // namespace mayfly
