// SPDX-License-Identifier: Apache-2.0
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/share/operations/operations.h"

namespace mayfly::operations {

namespace {

/// The flags of a guest's open(2) that are passed to the host. The guest's kernel handles the others;
/// O_APPEND is set per write, because pages of a mapping are written through any descriptor.
constexpr int kOpenFlags = O_ACCMODE | O_TRUNC | O_SYNC;

u32 open_flags_of(const Share& share) {
    return share.options.cache == ShareCache::Never ? u32{FOPEN_DIRECT_IO} : 0;
}

/// Appends a handle to an answer.
i32 put_open(const Call& call, UniqueFd fd, u32 open_flags) {
    const std::optional<u64> handle = call.share.files.add(std::move(fd), false);
    if (!handle) return -ENFILE;
    call.reply.put(fuse_open_out{.fh = *handle, .open_flags = open_flags, .padding = 0});
    return 0;
}

}  // namespace

i32 open(const Call& call) {
    const auto arguments = call.request.take<fuse_open_in>();
    if (!arguments) return -EINVAL;
    Share& share = call.share;
    const int flags = static_cast<int>(arguments->flags) & kOpenFlags;
    const bool drops_ids = (arguments->open_flags & FUSE_OPEN_KILL_SUIDGID) != 0;
    const bool is_change = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0 || drops_ids;
    if (share.options.is_read_only && is_change) return -EROFS;
    if (drops_ids) {
        const int fd = share.nodes.fd_of(call.node);
        if (fd < 0) return fd;
        if (const i32 error = drop_set_ids(fd, share); error < 0) return error;
    }
    const int opened = share.reopen(call.node, flags);
    if (opened < 0) return opened;
    UniqueFd fd = UniqueFd::adopt(opened);
    if (call.node.mode != S_IFREG) return -EISDIR;
    u32 open_flags = open_flags_of(share);
    if (open_flags == 0 && share.view.may_keep(call.node.contents, fd.get())) open_flags = FOPEN_KEEP_CACHE;
    return put_open(call, std::move(fd), open_flags);
}

i32 create(const Call& call) {
    const auto arguments = call.request.take<fuse_create_in>();
    const char* const name = arguments ? call.request.take_name() : nullptr;
    if (name == nullptr) return -EINVAL;
    Share& share = call.share;
    int directory = share.nodes.fd_of(call.node);
    if (directory < 0) return directory;
    UniqueFd fd;
    {
        const Requester requester = share.requester(call.request);
        if (!requester.is_there()) return -EOVERFLOW;
        share.set_mask(arguments->umask);
        const int flags = static_cast<int>(arguments->flags) & kOpenFlags & ~O_TRUNC;
        // Always a new file: an existing one may be of any kind.
        fd = host::open_beneath(directory, name, flags | O_CREAT | O_EXCL, arguments->mode & 07777U);
        const bool is_full = !fd.valid() && (errno == EMFILE || errno == ENFILE);
        if (is_full && share.nodes.close_oldest()) {
            directory = share.nodes.fd_of(call.node);
            if (directory < 0) return directory;
            fd = host::open_beneath(directory, name, flags | O_CREAT | O_EXCL, arguments->mode & 07777U);
        }
    }
    const int error = fd.valid() ? 0 : -errno;
    if (error != 0 && (error != -EEXIST || (arguments->flags & O_EXCL) != 0)) return error;
    host::Attributes attributes{};
    const int failed = fd.valid() ? host::attributes_of(fd.get(), attributes)
                                  : host::attributes_at(directory, name, attributes);
    if (failed < 0) return failed;
    Node* const node = share.nodes.look_up(call.node, name, attributes);
    if (node == nullptr) return -ENOMEM;
    if (!fd.valid()) {
        const int opened = share.reopen(*node, static_cast<int>(arguments->flags) & kOpenFlags);
        if (opened < 0) {
            share.nodes.forget(*node, 1);
            // The guest follows links itself, and then looks up again.
            if (node->mode == S_IFLNK) return -ESTALE;
            return opened == -EPERM ? -EEXIST : opened;
        }
        fd = UniqueFd::adopt(opened);
    }
    call.reply.put(share.entry_of(*node, attributes));
    const i32 failed_open = put_open(call, std::move(fd), open_flags_of(share));
    if (failed_open < 0) share.nodes.forget(*node, 1);
    return failed_open;
}

i32 tmpfile(const Call& call) {
    const auto arguments = call.request.take<fuse_create_in>();
    if (!arguments) return -EINVAL;
    Share& share = call.share;
    const int directory = share.nodes.fd_of(call.node);
    if (directory < 0) return directory;
    UniqueFd fd;
    {
        const Requester requester = share.requester(call.request);
        if (!requester.is_there()) return -EOVERFLOW;
        share.set_mask(arguments->umask);
        // O_EXCL: it will never have a name.
        const int flags = static_cast<int>(arguments->flags) & (kOpenFlags | O_EXCL) & ~O_TRUNC;
        fd = host::open_beneath(directory, ".", flags | O_TMPFILE, arguments->mode & 07777U);
    }
    if (!fd.valid()) return -errno;
    host::Attributes attributes{};
    if (const int error = host::attributes_of(fd.get(), attributes); error < 0) return error;
    UniqueFd path = UniqueFd::adopt(
        ::openat(share.descriptors.get(), DescriptorName(fd.get()).c_str(), O_PATH | O_CLOEXEC));
    if (!path.valid()) return -errno;
    Node* const node = share.nodes.look_up_nameless(std::move(path), attributes);
    if (node == nullptr) return -ENOMEM;
    call.reply.put(share.entry_of(*node, attributes));
    const i32 failed_open = put_open(call, std::move(fd), open_flags_of(share));
    if (failed_open < 0) share.nodes.forget(*node, 1);
    return failed_open;
}

/// ENOSYS is the answer that stops Linux from asking again. Spec: Linux fs/fuse/file.c, fuse_flush().
i32 flush(const Call& call) {
    if (!call.share.are_errors_late) return -ENOSYS;
    const auto arguments = call.request.take<fuse_flush_in>();
    if (!arguments) return -EINVAL;
    const OpenFile* const file = call.share.files.file(arguments->fh);
    if (file == nullptr) return -EBADF;
    const int copy = ::fcntl(file->fd.get(), F_DUPFD_CLOEXEC, 0);
    return copy < 0 || ::close(copy) < 0 ? -errno : 0;
}

i32 release(const Call& call) {
    const auto arguments = call.request.take<fuse_release_in>();
    if (!arguments) return -EINVAL;
    return call.share.files.close(arguments->fh) ? 0 : -EBADF;
}

}  // namespace mayfly::operations
