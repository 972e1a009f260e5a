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

/// A directory's content, or one file, and its place in the archive.
struct TreeToPack {
    const UniqueFd& fd;
    std::string label;             ///< how messages call it
    std::string place{};           ///< in the archive; empty: its root
    std::optional<Owner> owner{};  ///< of all its files; else the files' own
    /// Called before each entry, by its name in the archive: false skips the entry. Errors end the packing.
    std::function<Result<bool>(const std::string& name, u32 mode)> is_wanted{};
    /// The user has named this tree explicitly: files on other file systems are reported as missing, and a
    /// file that changes while it is packed is refused, also where it keeps its size.
    bool is_copy = false;
};

class TreePacker {
  public:
    /// `archive` outlives it, as does `outputs`, which may be null: files that must not be packed.
    TreePacker(ArchiveWriter& archive, OutputFiles* outputs, StopToken stop)
        : archive_(archive), outputs_(outputs), stop_(stop) {}

    /// Adds the content of a directory, without itself. Errors: Invalid for files that cannot be in the
    /// archive, by name; Os; Stopped.
    Result<void> add(const TreeToPack& tree);
    /// Adds an open file, whose status was `status`. Errors: as add().
    Result<void> add_file(const TreeToPack& tree, const std::string& name, const EntryHeader& header,
                          const UniqueFd& file, const struct stat& status);
    /// The header of a tree's entry.
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
    /// The group in the archive of each file with several names, in the current tree.
    std::map<std::pair<dev_t, ino_t>, u32> link_groups_{};
    u32 groups_ = 0;
};

}  // namespace mayfly
