// SPDX-License-Identifier: Apache-2.0
#include "vmm/initramfs/archive/tree_packer.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <fmt/format.h>

#include "firmware/image/refuse.h"
#include "vmm/text/log.h"

namespace mayfly {

namespace {

std::string name_in_archive(const TreeToPack& tree, std::string_view path) {
    return tree.place.empty() ? std::string(path) : fmt::format("{}/{}", tree.place, path);
}

}  // namespace

EntryHeader TreePacker::header_of(const TreeToPack& tree, const struct stat& status) const {
    EntryHeader header{
        .mode = status.st_mode, .uid = status.st_uid, .gid = status.st_gid, .mtime = archive_time(status)};
    // Files of an ordinary user belong to root in the guest, as if root had made them there.
    if (user_ != 0 && status.st_uid == user_) header.uid = header.gid = 0;
    if (tree.owner) {
        header.uid = tree.owner->uid;
        header.gid = tree.owner->gid;
    }
    if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) {
        header.device_major = major(status.st_rdev);
        header.device_minor = minor(status.st_rdev);
    }
    return header;
}

Result<void> TreePacker::add_regular(const TreeToPack& tree, const TreeEntry& entry, const std::string& name,
                                     EntryHeader header) {
    if (outputs_ != nullptr)
        TRY_VOID(outputs_->check(entry.status, tree.label + "/" + printable(entry.path)));
    if (entry.status.st_nlink > 1) {
        const auto [group, is_first] =
            link_groups_.try_emplace({entry.status.st_dev, entry.status.st_ino}, groups_ + 1);
        if (is_first) ++groups_;
        header.link_group = group->second;
        if (!is_first) return archive_.add(name, header);
    }
    const UniqueFd file = UniqueFd::adopt(::openat(
        entry.directory.get(), entry.name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!file.valid()) return unreadable("open", tree.label, entry.path);
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) return unreadable("fstat", tree.label, entry.path);
    if (status.st_ino != entry.status.st_ino || status.st_dev != entry.status.st_dev)
        return refuse("{}/{}: was replaced while it was packed", tree.label, printable(entry.path));
    return add_file(tree, name, header, file, entry.status);
}

Result<void> TreePacker::add_file(const TreeToPack& tree, const std::string& name, const EntryHeader& header,
                                  const UniqueFd& file, const struct stat& status) {
    TRY_VOID(archive_.add_file(name, header, file, static_cast<u64>(status.st_size)));
    struct stat now {};
    if (!tree.is_copy || ::fstat(file.get(), &now) != 0 ||
        (now.st_mtim.tv_sec == status.st_mtim.tv_sec && now.st_mtim.tv_nsec == status.st_mtim.tv_nsec))
        return {};
    return refuse("{}: was changed while it was packed", archive_.called(name));
}

Result<void> TreePacker::add_entry(const TreeToPack& tree, const TreeEntry& entry, LeftOut& left_out) {
    const std::string name = name_in_archive(tree, entry.path);
    if (name == kOurDirectory)
        return refuse("{}/{}: is a name that the initramfs needs for itself", tree.label,
                      printable(entry.path));
    if (entry.is_elsewhere) {
        constexpr u64 kNamed = 8;
        if (++left_out.mounts <= kNamed) left_out.first_mounts += " " + printable(entry.path);
        if (left_out.mounts == kNamed + 1) left_out.first_mounts += " ...";
    }
    if (S_ISSOCK(entry.status.st_mode)) {
        ++left_out.sockets;
        return {};
    }
    if (tree.is_wanted && !TRY(tree.is_wanted(name, entry.status.st_mode))) return {};
    const EntryHeader header = header_of(tree, entry.status);
    if (S_ISREG(entry.status.st_mode)) return add_regular(tree, entry, name, header);
    if (!S_ISLNK(entry.status.st_mode)) return archive_.add(name, header);
    char target[4096];
    const ssize_t size = ::readlinkat(entry.directory.get(), entry.name, target, sizeof(target));
    if (size < 0) return unreadable("readlink", tree.label, entry.path);
    return archive_.add(name, header, std::string_view(target, static_cast<std::size_t>(size)));
}

/// The final size when it is `total` without the tree.
Result<TreeBytes> TreePacker::measure(const TreeToPack& tree, TreeBytes total) const {
    std::map<std::pair<dev_t, ino_t>, bool> seen;
    const auto add_size = [&](const TreeEntry& entry) -> Result<void> {
        const bool is_regular = S_ISREG(entry.status.st_mode);
        bool has_content = is_regular || S_ISLNK(entry.status.st_mode);
        if (is_regular && entry.status.st_nlink > 1)
            has_content = seen.try_emplace({entry.status.st_dev, entry.status.st_ino}, true).second;
        const u64 content_bytes = has_content ? static_cast<u64>(entry.status.st_size) : 0;
        if (!S_ISSOCK(entry.status.st_mode))
            total.add(entry_bytes(name_in_archive(tree, entry.path), content_bytes),
                      is_regular ? content_bytes : 0);
        return {};
    };
    TRY_VOID(walk_tree(tree.fd, tree.label, stop_, add_size));
    return total;
}

Result<void> TreePacker::add(const TreeToPack& tree) {
    LeftOut left_out;
    link_groups_.clear();
    const TreeBytes before = archive_.tree_bytes();
    archive_.set_origin(tree.label + "/", tree.place.empty() ? 0 : tree.place.size() + 1);
    archive_.set_forecast([&] { return measure(tree, before); });
    const Result<void> walked = walk_tree(
        tree.fd, tree.label, stop_, [&](const TreeEntry& entry) { return add_entry(tree, entry, left_out); });
    archive_.set_forecast(nullptr);
    archive_.set_origin("");
    TRY_VOID(walked);
    if (left_out.sockets > 0)
        log::warning(fmt::format("{}: {} socket{} left out of the initramfs", tree.label, left_out.sockets,
                                 left_out.sockets == 1 ? "" : "s"));
    if (left_out.mounts == 0 || !(tree.is_copy || log::is_verbose())) return {};
    const std::string line = fmt::format("{}: on other file systems and so empty in the initramfs:{}",
                                         tree.label, left_out.first_mounts);
    tree.is_copy ? log::warning(line) : log::info(line);
    return {};
}

}  // namespace mayfly
