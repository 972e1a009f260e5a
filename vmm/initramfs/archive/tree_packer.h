// SPDX-License-Identifier: Apache-2.0
// TreePacker: directories of the host, as entries of an archive.
//
// Files keep their mode, time and names, hard links included; sockets are left out, and directories of other
// file systems are empty. Thread: one, before any vCPU runs.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <sys/stat.h>

#include "vmm/error/result.h"
#include "vmm/initramfs/archive/archive.h"
#include "vmm/initramfs/archive/tree_walk.h"
#include "vmm/os/file_identity.h"
#include "vmm/threads/stop_token.h"

namespace mayfly {

struct Owner {
    u32 uid = 0;
    u32 gid = 0;
};

/// A directory's content, or one file, and what becomes of it.
struct TreeToPack {
    const UniqueFd& fd;
    std::string label;             ///< how messages call it
    std::string place{};           ///< in the archive; empty: its root
    std::optional<Owner> owner{};  ///< of all that is in it; else the files' own
    /// Looked at before each entry, by its name in the archive: false leaves a directory to what is there.
    /// Errors end the packing.
    std::function<Result<bool>(const std::string& name, u32 mode)> is_wanted{};
    /// The user has named it for itself: what is on other file systems is missed, and a file that changes
    /// while it is packed is refused, also where it keeps its size.
    bool is_copy = false;
};

class TreePacker {
  public:
    /// `archive` outlives it, as does `outputs`, which may be null: files that must not be packed.
    TreePacker(ArchiveWriter& archive, OutputFiles* outputs, StopToken stop)
        : archive_(archive), outputs_(outputs), stop_(stop) {}

    /// What is in a directory, without itself. Errors: Invalid for what cannot be in the archive, by name;
    /// Os; Stopped.
    Result<void> add(const TreeToPack& tree);
    /// A file that is open, whose status was `status`. Errors: as add().
    Result<void> add_file(const TreeToPack& tree, const std::string& name, const EntryHeader& header,
                          const UniqueFd& file, const struct stat& status);
    /// The header that an entry of a tree has.
    [[nodiscard]] EntryHeader header_of(const TreeToPack& tree, const struct stat& status) const;

  private:
    struct LeftOut {
        u64 sockets = 0;
        u64 mounts = 0;
        std::string first_mounts{};
    };

    Result<void> add_entry(const TreeToPack& tree, const TreeEntry& entry, LeftOut& left_out);
    Result<void> add_regular(const TreeToPack& tree, const TreeEntry& entry, const std::string& name,
                             EntryHeader header);
    [[nodiscard]] Result<TreeBytes> measure(const TreeToPack& tree, TreeBytes total) const;

    ArchiveWriter& archive_;
    OutputFiles* const outputs_;
    const StopToken stop_;
    const uid_t user_ = ::geteuid();
    /// The group in the archive for each file of several names, in the tree at hand.
    std::map<std::pair<dev_t, ino_t>, u32> link_groups_{};
    u32 groups_ = 0;
};

}  // namespace mayfly
