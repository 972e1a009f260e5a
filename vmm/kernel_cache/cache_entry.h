// SPDX-License-Identifier: Apache-2.0
// One unpacked kernel in the cache: the ELF from a bzImage, then a trailer that identifies the bzImage.
//
// The ELF comes first, so that its pages can be mapped over guest RAM. An entry's name never changes, it is
// the bzImage's inode: a kernel that is built again in its place replaces its entry.
//
// An entry is complete before it has its name, so a crash of mayfly leaves none. A crash of the host can
// leave one whose blocks never reached the disk, as nothing is flushed here. Detected: a wrong size, a bad
// trailer, and any lost block, because an entry that was last used before the host was started is read whole
// once and its sum compared. Not detected: an error of the disk after that reading, and a clock that was set
// back by more than the host has been up. Thread: any.
#pragma once

#include <optional>
#include <span>

#include "firmware/boot/bzimage.h"
#include "firmware/image/image.h"
#include "vmm/kernel_cache/cache_directory.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

/// Identifies the content of a bzImage. A changed file gets another ctime, which only the clock can set; that
/// fails where the clock has not moved between two changes (see is_settled()), where a server's or a virtual
/// file system's clock is wrong, and for a writer through an older mapping. The sum, of samples of the
/// payload, covers these; it misses only a change between the samples that keeps the size.
struct KernelKey {
    u64 device = 0;
    u64 inode = 0;
    u64 size_bytes = 0;
    u64 modified_ns = 0;
    u64 changed_ns = 0;
    u64 payload_offset_bytes = 0;
    u64 payload_bytes = 0;
    u64 payload_sum = 0;

    bool operator==(const KernelKey&) const = default;
};

struct PackedKernel {
    KernelKey key;
    u64 unpacked_bytes = 0;   ///< as the payload claims
    bool is_settled = false;  ///< unchanged for so long that another change would show in its times
};

/// `bz` belongs to the image, which is a file, and its payload has at least a kilobyte. Empty where the file
/// cannot be read.
std::optional<PackedKernel> identify(const Image& kernel, const BzImage& bz, u64 settling_ns);

/// The entry's file, which begins with the ELF. Neither file nor reason where no entry exists, or only that
/// of an earlier kernel.
Opened find_entry(const UniqueFd& directory, const PackedKernel& kernel, StopToken stop);

/// Writes an entry, over the one that has its name; or says why it cannot.
Reason store_entry(const UniqueFd& directory, const PackedKernel& kernel, std::span<const std::byte> elf,
                   const CacheLimits& limits, StopToken stop);

}  // namespace mayfly
