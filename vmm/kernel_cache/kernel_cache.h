// SPDX-License-Identifier: Apache-2.0
// The cache of unpacked kernels: from the second boot on, a bzImage is mapped from disk as its vmlinux would
// be.
//
// It never fails a boot: a kernel that cannot be found, trusted or stored is unpacked as without a cache, and
// -v says why. ELF kernels, built-in guests and small payloads do not touch it. Like a vmlinux, an entry that
// somebody truncates under a running guest ends mayfly by SIGBUS; one that is removed or replaced does not,
// because it stays until the guest is gone. Thread: one thread, before any vCPU runs.
#pragma once

#include <optional>
#include <string>

#include "firmware/boot/boot.h"

namespace mayfly {

struct KernelCacheOptions {
    /// A directory; "off"; or empty, for $MAYFLY_CACHE_DIR (which may be "off" too), else
    /// $XDG_CACHE_HOME/mayfly/kernels, else $HOME/.cache/mayfly/kernels.
    std::string place;
    u64 bytes_max = MiB(512);
    u32 entries_max = 8;
    /// Younger bzImages are not stored: a change in the same tick of the clock would not show. FAT's is 2 s.
    u64 settling_ns = 2'000'000'000;
};

/// As unpack_kernel(), but from the cache where the kernel is there, and into the cache where it is not.
/// Errors: unpack_kernel()'s.
Result<std::optional<Image>> unpack_cached(const Image& kernel, const KernelChoice& choice, u64 memory_bytes,
                                           const KernelCacheOptions& options);

}  // namespace mayfly
