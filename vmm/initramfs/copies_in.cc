// SPDX-License-Identifier: Apache-2.0
#include "vmm/initramfs/copies_in.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "firmware/image/refuse.h"

namespace mayfly {

namespace {

/// The packer makes these where the root lacks them.
constexpr std::array<std::string_view, 2> kMade{"tmp", "run"};
/// Where our init mounts the kernel's file systems.
constexpr std::array<std::string_view, 3> kKernels{"proc", "sys", "dev"};

/// Like rsync's "DIR/"; "." lacks a name of its own.
bool means_content(const std::string& host) {
    const std::string name = last_part(host);
    return host.ends_with('/') || name == "." || name == "..";
}

Result<std::string> place_of(const CopyIn& copy) {
    std::string path = copy.guest;
    if (path.ends_with('/') && !means_content(copy.host)) path += last_part(copy.host);
    std::string place;
    for (std::size_t at = 0; at < path.size();) {
        const std::size_t slash = std::min(path.find('/', at), path.size());
        const std::string part = path.substr(at, slash - at);
        at = slash + 1;
        if (part.empty() || part == ".") continue;
        if (part == "..") return refuse("{}: '..' leads nowhere before the guest exists", path);
        place += (place.empty() ? "" : "/") + part;
    }
    const std::string first = place.substr(0, place.find('/'));
    if (std::ranges::find(kKernels, first) != kKernels.end())
        return refuse("/{}: the guest's kernel makes /{}, and hides what else is put there", place, first);
    if (first == kOurDirectory) return refuse("/{}: is a name that the initramfs needs for itself", first);
    return place;
}

}  // namespace

CopiesIn::PlaceKind CopiesIn::kind_at(const std::string& place) const {
    if (place.empty() || directories_.contains(place)) return PlaceKind::Directory;
    if (others_.contains(place)) return PlaceKind::SharedFile;  // perhaps: link counts are not kept
    if (under_.root != nullptr) {
        struct stat status {};
        const UniqueFd there = under_.root->open_inside(place);
        // EXDEV: another file system begins there, in the guest an empty directory.
        if (!there.valid() && errno == EXDEV) return PlaceKind::Directory;
        if (there.valid() && ::fstat(there.get(), &status) == 0) {
            if (S_ISDIR(status.st_mode)) return PlaceKind::Directory;
            return status.st_nlink > 1 ? PlaceKind::SharedFile : PlaceKind::File;
        }
    }
    return std::ranges::find(kMade, place) != kMade.end() ? PlaceKind::Directory : PlaceKind::Nothing;
}

bool CopiesIn::is_to_be_packed(const std::string& place, PlaceKind there) const {
    if (under_.is_packed) return there != PlaceKind::Directory;
    return !place.empty() && !directories_.contains(place);
}

Result<void> CopiesIn::add_parents(const std::string& place) {
    constexpr EntryHeader kParent{.mode = S_IFDIR | 0755};
    for (std::size_t slash = place.find('/'); slash != std::string::npos;
         slash = place.find('/', slash + 1)) {
        const std::string parent = place.substr(0, slash);
        const PlaceKind there = kind_at(parent);
        if (is_file(there))
            return refuse("/{}: is not a directory in the guest, so that nothing can be in it",
                          printable(parent));
        if (!is_to_be_packed(parent, there)) continue;
        TRY_VOID(archive_.add(parent, kParent));
        directories_.insert(parent);
    }
    return {};
}

Result<void> CopiesIn::make_way(const std::string& place, PlaceKind there) {
    constexpr EntryHeader kLink{.mode = S_IFLNK | 0777};
    // A file of another type replaces it (init/initramfs.c, clean_path()), and is itself replaced by the
    // next.
    return there == PlaceKind::SharedFile ? archive_.add(place, kLink, "replaced") : Result<void>();
}

TreeToPack CopiesIn::tree_of(const UniqueFd& fd, const std::string& place) const {
    return {.fd = fd, .label = label_, .place = place, .owner = owner_, .is_wanted = {}, .is_copy = true};
}

Result<void> CopiesIn::add_file(const UniqueFd& file, const struct stat& status, const std::string& place) {
    if (outputs_ != nullptr) TRY_VOID(outputs_->check(status, label_));
    const PlaceKind there = kind_at(place);
    if (there == PlaceKind::Directory)
        return refuse("/{}: is a directory in the guest, where {} is a file", printable(place), label_);
    TRY_VOID(make_way(place, there));
    const TreeToPack alone = tree_of(file, place);
    archive_.set_origin(label_, place.size());
    Result<void> added = trees_.add_file(alone, place, trees_.header_of(alone, status), file, status);
    archive_.set_origin("");
    if (added) others_.insert(place);
    return added;
}

Result<void> CopiesIn::add_directory(const UniqueFd& directory, const struct stat& status,
                                     const std::string& place) {
    TreeToPack tree = tree_of(directory, place);
    tree.is_wanted = [this](const std::string& name, u32 mode) -> Result<bool> {
        const PlaceKind there = kind_at(name);
        const bool is_directory = S_ISDIR(mode);
        if (is_directory ? is_file(there) : there == PlaceKind::Directory)
            return refuse("{} copies a {} onto /{}, which is {} in the guest", label_,
                          is_directory ? "directory" : "file", printable(name),
                          is_directory ? "not a directory" : "a directory");
        const bool is_wanted = !is_directory || is_to_be_packed(name, there);
        if (!is_directory) TRY_VOID(make_way(name, there));
        (is_directory ? directories_ : others_).insert(name);
        return is_wanted;
    };
    if (TRY(tree.is_wanted(place, status.st_mode)))
        TRY_VOID(archive_.add(place, trees_.header_of(tree, status)));
    return trees_.add(tree);
}

Result<void> CopiesIn::add(const CopyIn& copy) {
    label_ = printable(copy.host);
    while (label_.size() > 1 && label_.back() == '/') label_.pop_back();
    const UniqueFd source =
        UniqueFd::adopt(::open(copy.host.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    struct stat status {};
    if (!source.valid() || ::fstat(source.get(), &status) != 0) return fail(Error::os("open").about(label_));
    if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode))
        return refuse("{}: is neither a file nor a directory", label_);
    std::string place = TRY(place_of(copy));
    // As with cp: a file cannot replace a directory.
    if (!S_ISDIR(status.st_mode) && !copy.guest.ends_with('/') && kind_at(place) == PlaceKind::Directory)
        place += (place.empty() ? "" : "/") + last_part(copy.host);
    TRY_VOID(add_parents(place));
    return S_ISDIR(status.st_mode) ? add_directory(source, status, place) : add_file(source, status, place);
}

}  // namespace mayfly
