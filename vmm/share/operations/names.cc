// SPDX-License-Identifier: Apache-2.0
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>

#include "vmm/share/operations/operations.h"

namespace mayfly::operations {

namespace {

constexpr u32 kModeBits = 07777;

/// Finds the node of a directory's entry, and makes sure that it survives the removal of its name.
class NameRemoval {
  public:
    NameRemoval(Share& share, Node& directory, int directory_fd, const char* name) : share_(share) {
        UniqueFd fd = host::open_beneath(directory_fd, name, O_PATH);
        if (!fd.valid() && (errno == EMFILE || errno == ENFILE) && share.nodes.close_oldest())
            fd = host::open_beneath(share.nodes.fd_of(directory), name, O_PATH);
        host::Attributes attributes{};
        if (!fd.valid() || host::attributes_of(fd.get(), attributes) < 0) return;
        Node* const node = share.nodes.known(attributes);
        if (node == nullptr || node->parent != &directory || node->name != name) return;
        node_ = node;
        fd_ = std::move(fd);
    }
    /// Null where the guest does not know it by that name.
    [[nodiscard]] const Node* node() const { return node_; }
    /// Call once the name is gone.
    void finish() {
        if (node_ != nullptr) share_.nodes.take_name(*node_, std::move(fd_));
    }

  private:
    Share& share_;
    Node* node_ = nullptr;
    UniqueFd fd_;
};

i32 remove(const Call& call, int flags) {
    const char* const name = call.request.take_name();
    if (name == nullptr) return -EINVAL;
    const int directory = call.share.nodes.fd_of(call.node);
    if (directory < 0) return directory;
    NameRemoval removal(call.share, call.node, directory, name);
    if (::unlinkat(directory, name, flags) < 0) return -errno;
    removal.finish();
    return 0;
}

i32 rename_to(const Call& call, u64 new_directory, u32 flags) {
    constexpr u32 kKnown = RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT;
    Share& share = call.share;
    Node* const to = share.nodes.find(new_directory);
    const char* const name = call.request.take_name();
    const char* const new_name = name != nullptr ? call.request.take_name() : nullptr;
    if (new_name == nullptr || (flags & ~kKnown) != 0) return -EINVAL;
    if (to == nullptr) return -ESTALE;
    const NodeTable::Pair directories = share.nodes.fds_of(call.node, *to);
    if (directories.error < 0) return directories.error;
    host::Attributes moved{};
    host::Attributes other{};
    const bool is_there = host::attributes_at(directories.first, name, moved) == 0;
    const bool is_exchange = (flags & RENAME_EXCHANGE) != 0;
    const bool has_other = is_exchange && host::attributes_at(directories.second, new_name, other) == 0;
    std::optional<NameRemoval> replaced;
    if (!is_exchange) replaced.emplace(share, *to, directories.second, new_name);
    if (const int error = host::rename_at(directories.first, name, directories.second, new_name, flags);
        error < 0)
        return error;
    Node* const node = is_there ? share.nodes.known(moved) : nullptr;
    Node* const exchanged = has_other ? share.nodes.known(other) : nullptr;
    // Two names of one file, or the same name: nothing has happened.
    if (replaced && node != nullptr && replaced->node() == node) return 0;
    // In this order: a forgotten directory is kept by the nodes in it.
    if (node != nullptr) share.nodes.move(*node, *to, new_name);
    if (replaced) replaced->finish();
    if (exchanged != nullptr) share.nodes.move(*exchanged, call.node, name);
    return 0;
}

/// Makes an entry as the guest's user: `make_entry(directory)` is the system call.
template <typename MakeEntry>
i32 make(const Call& call, const char* name, u32 mask, MakeEntry make_entry) {
    const int directory = call.share.nodes.fd_of(call.node);
    if (directory < 0) return directory;
    {
        const Requester requester = call.share.requester(call.request);
        if (!requester.is_there()) return -EOVERFLOW;
        call.share.set_mask(mask);
        if (make_entry(directory) < 0) return -errno;
    }
    return call.share.put_entry(call.node, name, call.reply);
}

}  // namespace

i32 lookup(const Call& call) {
    const char* const name = call.request.take_name();
    if (name == nullptr) return -EINVAL;
    const std::string_view text = name;
    if (text == "." || text == "..") {
        // For file handles: a node that the guest has forgotten cannot be found again by its number.
        Node& node = text == ".." && call.node.parent != nullptr ? *call.node.parent : call.node;
        const int fd = call.share.nodes.fd_of(node);
        if (fd < 0) return fd;
        host::Attributes attributes{};
        if (const int error = host::attributes_of(fd, attributes); error < 0) return error;
        if (&node != &call.share.nodes.root()) ++node.lookups;
        fuse_entry_out entry = call.share.entry_of(node, attributes);
        entry.attr.flags = 0;  // the guest has already mounted it there
        call.reply.put(entry);
        return 0;
    }
    const i32 error = call.share.put_entry(call.node, name, call.reply);
    // To know that one is missing is worth as much as to know that one exists.
    if (error != -ENOENT || !call.share.view.has_time()) return error;
    call.reply.put(call.share.view.no_entry());
    return 0;
}

i32 readlink(const Call& call) {
    const int fd = call.share.nodes.fd_of(call.node);
    if (fd < 0) return fd;
    const std::span<std::byte> space = call.reply.space(PATH_MAX);
    // SAFETY: characters are bytes.
    const ssize_t bytes = ::readlinkat(fd, "", reinterpret_cast<char*>(space.data()), space.size());
    if (bytes < 0) return -errno;
    call.reply.used(static_cast<std::size_t>(bytes));
    return 0;
}

i32 symlink(const Call& call) {
    const char* const name = call.request.take_name();
    const char* const target = name != nullptr ? call.request.take_text() : nullptr;
    if (target == nullptr) return -EINVAL;
    // A link has no mode, so the mask does not matter.
    return make(call, name, call.share.mask,
                [&](int directory) { return ::symlinkat(target, directory, name); });
}

i32 mknod(const Call& call) {
    const auto arguments = call.request.take<fuse_mknod_in>();
    const char* const name = arguments ? call.request.take_name() : nullptr;
    if (name == nullptr) return -EINVAL;
    return make(call, name, arguments->umask, [&](int directory) {
        const mode_t mode = arguments->mode & (S_IFMT | kModeBits);
        // A device's number is written alike in requests and system calls: include/linux/kdev_t.h,
        // new_encode_dev().
        return ::mknodat(directory, name, mode, arguments->rdev);
    });
}

i32 mkdir(const Call& call) {
    const auto arguments = call.request.take<fuse_mkdir_in>();
    const char* const name = arguments ? call.request.take_name() : nullptr;
    if (name == nullptr) return -EINVAL;
    return make(call, name, arguments->umask,
                [&](int directory) { return ::mkdirat(directory, name, arguments->mode & kModeBits); });
}

i32 unlink(const Call& call) { return remove(call, 0); }
i32 rmdir(const Call& call) { return remove(call, AT_REMOVEDIR); }

i32 rename(const Call& call) {
    const auto arguments = call.request.take<fuse_rename_in>();
    return arguments ? rename_to(call, arguments->newdir, 0) : -EINVAL;
}

i32 rename2(const Call& call) {
    const auto arguments = call.request.take<fuse_rename2_in>();
    return arguments ? rename_to(call, arguments->newdir, arguments->flags) : -EINVAL;
}

i32 link(const Call& call) {
    const auto arguments = call.request.take<fuse_link_in>();
    const char* const name = arguments ? call.request.take_name() : nullptr;
    if (name == nullptr) return -EINVAL;
    Node* const old = call.share.nodes.find(arguments->oldnodeid);
    if (old == nullptr) return -ESTALE;
    const NodeTable::Pair both = call.share.nodes.fds_of(*old, call.node);
    if (both.error < 0) return both.error;
    if (::linkat(call.share.descriptors.get(), DescriptorName(both.first).c_str(), both.second, name,
                 AT_SYMLINK_FOLLOW) < 0)
        return -errno;
    return call.share.put_entry(call.node, name, call.reply);
}

}  // namespace mayfly::operations
