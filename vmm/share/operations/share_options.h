// SPDX-License-Identifier: Apache-2.0
// The options of a shared directory, as plain values. Thread: any.
#pragma once

#include <optional>
#include <string>

#include "vmm/error/ints.h"

namespace mayfly {

/// How long the guest may cache names, attributes and contents.
enum class ShareCache : u8 {
    Auto,    ///< names and attributes for a second, contents until the attributes change
    Always,  ///< until the guest changes them itself
    Never,   ///< nothing
};

struct ShareOwner {
    u32 uid = 0;
    u32 gid = 0;
};

struct ShareOptions {
    std::string directory;
    bool is_read_only = false;
    ShareCache cache = ShareCache::Auto;
    /// Every file is shown as this owner's, and files that the guest makes belong to the monitor's user.
    /// Empty: the host's owners.
    std::optional<ShareOwner> owner;
    /// The guest makes mounts of the host's mounts in the directory, with their own inode numbers. Else they
    /// look like ordinary directories: an overlay does not look into mounts.
    bool announces_mounts = true;
};

}  // namespace mayfly
