// SPDX-License-Identifier: Apache-2.0
// open_disk(): opens and locks a raw file or block device as a disk, and finds its kind, size and alignment.
// disk_file.h moves its bytes. Thread: any.
#pragma once

#include <compare>
#include <string>

#include "devices/virtio/block/block_backend.h"
#include "vmm/error/ints.h"
#include "vmm/error/result.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

struct DiskOptions {
    std::string path;
    bool is_read_only = false;
    bool is_direct = false;      ///< O_DIRECT: past the page cache
    bool is_surely_raw = false;  ///< also where it looks like another format
    u32 in_flight_max = 256;     ///< the requests that its queues hold; more are done synchronously
};

struct OpenDisk {
    /// Through the page cache. Holds the lock.
    UniqueFd buffered;
    /// O_DIRECT, or none.
    UniqueFd direct;
    /// The alignment of memory, offset and size that `direct` needs.
    u32 direct_memory_alignment = 1;
    u32 direct_offset_alignment = 1;
    BlockGeometry geometry;
};

/// Locks it, shared when read-only, where the file system can: a writable disk has one user.
/// Errors: Os from open(2); Invalid for a file that is not a raw disk, or is in use.
Result<OpenDisk> open_disk(const DiskOptions& options);

}  // namespace mayfly
