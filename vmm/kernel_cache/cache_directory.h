// SPDX-License-Identifier: Apache-2.0
// The directory that unpacked kernels are kept in: ours alone, and of bounded size.
//
// Files that other users could have put there, or could still change, are not used: a guest would run them as
// its kernel. Only files with our suffixes are ever counted or removed.
// Thread: any; several processes may use one directory.
#pragma once

#include <string>
#include <string_view>

#include <sys/stat.h>

#include "vmm/error/ints.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

/// The suffix of a complete entry.
constexpr std::string_view kEntrySuffix = ".mayfly-kernel";
/// Of an entry that is being written, where the file system has no files without a name.
constexpr std::string_view kUnfinishedSuffix = ".mayfly-unfinished";

struct CacheLimits {
    u64 bytes_max;
    u32 entries_max;
};

/// Why a part of the cache is not used, for -v; empty where it is. Not a Result, because it never fails a
/// boot.
using Reason = std::string;

/// The reason for errno, after a failed call.
Reason os_reason(std::string_view operation);

/// A descriptor, or why it is missing; neither where the file simply does not exist.
struct Opened {
    UniqueFd fd;
    Reason why;
};

/// Refuses a symbolic link, and a directory that others own or may write to.
Opened open_cache_directory(const std::string& path);

/// Makes it where it is missing, with up to two directories above it.
Opened make_cache_directory(const std::string& path);

/// Removes the least recently used entries until `needed_bytes` fit, beside what others the limits allow. All
/// entries together have at most a tenth of what the file system could give them. An entry called `name` is
/// about to be replaced, and does not count.
Reason make_room(const UniqueFd& directory, std::string_view name, u64 needed_bytes,
                 const CacheLimits& limits);

}  // namespace mayfly
