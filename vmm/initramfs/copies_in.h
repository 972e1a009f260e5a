// SPDX-License-Identifier: Apache-2.0
// CopiesIn: files and directories of the host that a guest gets besides its root, each under a name of its
// own.
//
// They follow the root in the archive, so that Linux puts them over it: a file replaces a file, a directory's
// content is merged into a directory of that name. Over a root that is not in the archive init puts them, by
// the same rules: then every directory that leads to one is in the archive. All of it belongs to the
// program's user. Thread: one, before any vCPU runs.
#pragma once

#include <set>
#include <string>

#include "vmm/error/result.h"
#include "vmm/initramfs/archive/tree_packer.h"
#include "vmm/initramfs/initramfs.h"
#include "vmm/initramfs/root_directory.h"

namespace mayfly {

class CopiesIn {
  public:
    /// The tree that they are put over.
    struct Under {
        const RootDirectory* root;  ///< null for none
        bool is_packed;             ///< it is in the archive
    };
    /// `outputs` is null for none: files that must not be packed. All outlive it.
    CopiesIn(ArchiveWriter& archive, TreePacker& trees, Under under, Owner owner, OutputFiles* outputs)
        : archive_(archive), trees_(trees), under_(under), owner_(owner), outputs_(outputs) {}

    /// Errors: Invalid for a file that does not exist on the host, and for a place where the guest cannot
    /// have it; Os; those of TreePacker::add().
    Result<void> add(const CopyIn& copy);

  private:
    /// SharedFile: one of several names, as far as that is known.
    enum class PlaceKind : u8 { Nothing, Directory, File, SharedFile };
    [[nodiscard]] static bool is_file(PlaceKind there) {
        return there == PlaceKind::File || there == PlaceKind::SharedFile;
    }
    [[nodiscard]] PlaceKind kind_at(const std::string& place) const;
    /// Whether the archive still lacks the directory at a place that holds `there`.
    [[nodiscard]] bool is_to_be_packed(const std::string& place, PlaceKind there) const;
    Result<void> add_parents(const std::string& place);
    /// For anything but a directory: Linux writes into a file that exists, and so into all its names.
    Result<void> make_way(const std::string& place, PlaceKind there);
    [[nodiscard]] TreeToPack tree_of(const UniqueFd& fd, const std::string& place) const;
    Result<void> add_file(const UniqueFd& file, const struct stat& status, const std::string& place);
    Result<void> add_directory(const UniqueFd& directory, const struct stat& status,
                               const std::string& place);

    ArchiveWriter& archive_;
    TreePacker& trees_;
    const Under under_;
    const Owner owner_;
    OutputFiles* const outputs_;
    std::string label_{};                  ///< of the copy at hand, for messages
    std::set<std::string> directories_{};  ///< of copies in the archive, or possibly there
    std::set<std::string> others_{};
};

}  // namespace mayfly
