// SPDX-License-Identifier: Apache-2.0
// What a directory of the host is shared with: plain values. Thread: any.
#pragma once

#include <optional>
#include <string>

#include "vmm/error/ints.h"

namespace mayfly {

/// What the guest may believe of what it has seen.
enum class ShareCache : u8 {
    Auto,    ///< names and attributes for a second, contents until the attributes tell of others
    Always,  ///< until it changes them itself
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
    /// Every file is shown as this one's, and what the guest makes is the monitor's own user's. Nothing: as
    /// the host has it.
    std::optional<ShareOwner> owner;
    /// The guest mounts what is mounted in the directory, with numbers of files of its own. Else it takes it
    /// for directories like others: an overlay looks into no mount.
    bool announces_mounts = true;
};

}  // namespace mayfly
