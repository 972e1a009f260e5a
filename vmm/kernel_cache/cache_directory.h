// SPDX-License-Identifier: Apache-2.0
// The directory that unpacked kernels are kept in: ours alone, and of bounded size.
//
// What other users could have put there, or could still change, is not used: a guest would run it as its
// kernel. Only files with our suffixes are ever counted or removed.
// Thread: any; several processes may use one directory.
#pragma once

#include <string>
#include <string_view>

#include <sys/stat.h>

#include "vmm/error/ints.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

/// Of a whole entry.
constexpr std::string_view kEntrySuffix = ".mayfly-kernel";
/// Of an entry that is being written, where the file system has no files without a name.
constexpr std::string_view kUnfinishedSuffix = ".mayfly-unfinished";

struct CacheLimits {
    u64 bytes_max;
    u32 entries_max;
};

/// Why a part of the cache is not used, for -v; empty where it is. No Result, because no boot fails by it.
using Reason = std::string;

/// The reason that errno is, after a call that failed.
Reason os_reason(std::string_view operation);

/// A descriptor, or why there is none; neither where there is simply nothing.
struct Opened {
    UniqueFd fd;
    Reason why;
};

/// Not a symbolic link, and not what others own or may write to.
Opened open_cache_directory(const std::string& path);

/// Makes it where there is none, with up to two directories above it.
Opened make_cache_directory(const std::string& path);

/// Removes the least recently used entries until `needed_bytes` fit, beside what others the limits allow. All
/// entries together have at most a tenth of what the file system could give them. An entry called `name` is
/// about to be replaced, and does not count.
Reason make_room(const UniqueFd& directory, std::string_view name, u64 needed_bytes,
                 const CacheLimits& limits);

}  // namespace mayfly
