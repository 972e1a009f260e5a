// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cerrno>
#include <limits>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/share/operations/operations.h"

namespace mayfly::operations {

namespace {

constexpr u32 kModeBits = 07777;
constexpr u32 kAnySize = FATTR_SIZE;
constexpr u32 kAnyTime = FATTR_ATIME | FATTR_MTIME | FATTR_ATIME_NOW | FATTR_MTIME_NOW;

/// Everything that setattr() changes, with a descriptor of the node, and of its open file where the guest
/// named one.
struct Change {
    Share& share;
    const Node& node;
    const fuse_setattr_in& to;
    int fd;
    int file;  ///< or -1
};

i32 change_owner(const Change& change) {
    constexpr u32 kLeave = ~u32{0};
    const u32 uid = (change.to.valid & FATTR_UID) != 0 ? change.to.uid : kLeave;
    const u32 gid = (change.to.valid & FATTR_GID) != 0 ? change.to.gid : kLeave;
    if (const std::optional<ShareOwner>& owner = change.share.options.owner) {
        // A change to the present owner needs no work.
        const bool is_same = (uid == kLeave || uid == owner->uid) && (gid == kLeave || gid == owner->gid);
        if (!is_same) return -EPERM;
        return (change.to.valid & FATTR_KILL_SUIDGID) != 0 ? drop_set_ids(change.fd, change.share) : 0;
    }
    return ::fchownat(change.fd, "", uid, gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

i32 change_mode(const Change& change) {
    const mode_t mode = change.to.mode & kModeBits;
    if (change.node.mode == S_IFLNK) return -EOPNOTSUPP;
    return ::fchmodat(change.share.descriptors.get(), DescriptorName(change.fd).c_str(), mode, 0) < 0 ? -errno
                                                                                                      : 0;
}

i32 change_size(const Change& change) {
    if (change.to.size > static_cast<u64>(std::numeric_limits<off_t>::max())) return -EFBIG;
    const auto size = static_cast<off_t>(change.to.size);
    if ((change.to.valid & FATTR_KILL_SUIDGID) != 0) {
        if (const i32 error = drop_set_ids(change.fd, change.share); error < 0) return error;
    }
    if (change.file >= 0) return ::ftruncate(change.file, size) < 0 ? -errno : 0;
    if (change.node.mode != S_IFREG) return -EINVAL;
    const UniqueFd file = UniqueFd::adopt(
        ::openat(change.share.descriptors.get(), DescriptorName(change.fd).c_str(), O_WRONLY | O_CLOEXEC));
    return !file.valid() || ::ftruncate(file.get(), size) < 0 ? -errno : 0;
}

timespec time_of(u32 valid, u32 is_given, u32 is_now, u64 seconds, u32 nanoseconds) {
    if ((valid & is_now) != 0) return {.tv_sec = 0, .tv_nsec = UTIME_NOW};
    if ((valid & is_given) == 0) return {.tv_sec = 0, .tv_nsec = UTIME_OMIT};
    return {.tv_sec = static_cast<time_t>(seconds), .tv_nsec = static_cast<long>(nanoseconds)};
}

i32 change_times(const Change& change) {
    const fuse_setattr_in& to = change.to;
    const std::array<timespec, 2> times{
        time_of(to.valid, FATTR_ATIME, FATTR_ATIME_NOW, to.atime, to.atimensec),
        time_of(to.valid, FATTR_MTIME, FATTR_MTIME_NOW, to.mtime, to.mtimensec)};
    return ::utimensat(change.fd, "", times.data(), AT_EMPTY_PATH) < 0 ? -errno : 0;
}

i32 apply(const Change& change) {
    const u32 valid = change.to.valid;
    i32 error = 0;
    if ((valid & (FATTR_UID | FATTR_GID)) != 0) error = change_owner(change);
    // After the owner, whose change takes set-user-ID away.
    if (error == 0 && (valid & FATTR_MODE) != 0) error = change_mode(change);
    if (error == 0 && (valid & kAnySize) != 0) error = change_size(change);
    if (error == 0 && (valid & kAnyTime) != 0) error = change_times(change);
    return error;
}

/// The node's attributes, or the open file's where its name now belongs to another file.
int fd_of(const Call& call, const OpenFile* file) {
    const int fd = call.share.nodes.fd_of(call.node);
    return fd == -ESTALE && file != nullptr ? file->fd.get() : fd;
}

i32 put_attributes(const Call& call, int fd) {
    host::Attributes attributes{};
    if (const int error = host::attributes_of(fd, attributes); error < 0) return error;
    call.reply.put(call.share.view.attr_out_of(attributes));
    return 0;
}

}  // namespace

i32 drop_set_ids(int fd, const Share& share) {
    host::Attributes attributes{};
    if (const int error = host::attributes_of(fd, attributes); error < 0) return error;
    u32 mode = attributes.stx_mode & kModeBits;
    // Without group execution it is a mark for locks, not for the user who runs it.
    if ((mode & S_IXGRP) != 0) mode &= ~u32{S_ISGID};
    mode &= ~u32{S_ISUID};
    if (mode == (attributes.stx_mode & kModeBits)) return 0;
    return ::fchmodat(share.descriptors.get(), DescriptorName(fd).c_str(), mode, 0) < 0 ? -errno : 0;
}

i32 getattr(const Call& call) {
    const auto arguments = call.request.take<fuse_getattr_in>();
    const bool has_file = arguments && (arguments->getattr_flags & FUSE_GETATTR_FH) != 0;
    const int fd = fd_of(call, has_file ? call.share.files.file(arguments->fh) : nullptr);
    return fd < 0 ? fd : put_attributes(call, fd);
}

i32 statx(const Call& call) {
    const auto arguments = call.request.take<fuse::StatxIn>();
    const bool has_file = arguments && (arguments->getattr_flags & FUSE_GETATTR_FH) != 0;
    const int fd = fd_of(call, has_file ? call.share.files.file(arguments->fh) : nullptr);
    if (fd < 0) return fd;
    host::Attributes attributes{};
    if (const int error = host::attributes_of(fd, attributes); error < 0) return error;
    call.reply.put(call.share.view.statx_of(attributes));
    return 0;
}

i32 setattr(const Call& call) {
    const auto arguments = call.request.take<fuse_setattr_in>();
    if (!arguments) return -EINVAL;
    const OpenFile* const file =
        (arguments->valid & FATTR_FH) != 0 ? call.share.files.file(arguments->fh) : nullptr;
    const int fd = fd_of(call, file);
    if (fd < 0) return fd;
    const Change change{.share = call.share,
                        .node = call.node,
                        .to = *arguments,
                        .fd = fd,
                        .file = file != nullptr ? file->fd.get() : -1};
    if (const i32 error = apply(change); error < 0) return error;
    return put_attributes(call, fd);
}

}  // namespace mayfly::operations
