// SPDX-License-Identifier: Apache-2.0
// A directory for one test, with bzImages and a cache in it; and a boot's use of that cache.
#pragma once

#include <string>
#include <vector>

#include "tests/unit/firmware/boot/kernel_builder.h"
#include "vmm/kernel_cache/kernel_cache.h"

namespace mayfly::test {

/// An ELF of 1.5 MiB that no compression makes smaller; `seed` chooses its bytes.
Bytes large_kernel(u64 seed);

/// A bzImage with that ELF, gzipped.
Bytes bzimage_of(const Bytes& elf);

struct Outcome {
    std::string line;  ///< the line of -v, without "mayfly: "
    bool is_hit;       ///< the kernel is a file, not just unpacked
    Bytes elf;         ///< empty where there was an error
    std::string error;
};

class ScratchCache {
  public:
    ScratchCache();
    ~ScratchCache();
    ScratchCache(const ScratchCache&) = delete;
    ScratchCache& operator=(const ScratchCache&) = delete;

    /// Writes, or writes over, a file of the directory. Returns its path.
    [[nodiscard]] std::string file(const std::string& name, const Bytes& content) const;
    [[nodiscard]] std::string kernel(const std::string& name, u64 seed) const {
        return file(name, bzimage_of(large_kernel(seed)));
    }
    /// Boots a kernel by its path, as far as its unpacking.
    [[nodiscard]] Outcome boot(const std::string& path, u64 memory_bytes = MiB(64)) const;

    [[nodiscard]] const std::string& path() const { return path_; }
    /// The names in the cache, sorted.
    [[nodiscard]] std::vector<std::string> entries() const;
    /// The path of the only one.
    [[nodiscard]] std::string entry() const;

    /// Files are settled at once, so that tests need not wait; `place` is a directory that does not exist
    /// yet.
    KernelCacheOptions options;

  private:
    std::string path_;
};

/// Sets the time of the last change; 0 is long before this host was started.
void set_used(const std::string& path, i64 seconds);
void flip_byte(const std::string& path, i64 offset_bytes);

}  // namespace mayfly::test
