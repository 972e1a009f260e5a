// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cerrno>
#include <limits>

#include <fcntl.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <climits>

#include "devices/virtio/queue/chain.h"
#include "vmm/share/operations/operations.h"

namespace mayfly::operations {

namespace {

/// Limit of one request, because others wait. Programs ask for the rest.
constexpr u64 kCopyBytesMax = MiB(8);

bool is_offset(u64 offset) { return offset <= static_cast<u64>(std::numeric_limits<off_t>::max()); }

/// Linux's requests have 256 pages at most; parts beyond a system call's limit are left out.
int count_of(std::span<const iovec> parts) {
    return static_cast<int>(std::min<std::size_t>(parts.size(), IOV_MAX));
}

/// Null where the request must be done now.
UniqueFd copy_for(const Call& call, const OpenFile& file) {
    return call.later != nullptr ? UniqueFd::adopt(::fcntl(file.fd.get(), F_DUPFD_CLOEXEC, 0)) : UniqueFd();
}

i32 read_later(const Call& call, OpenFile& file, std::span<iovec> room, u64 offset, u64 done) {
    UniqueFd copy = copy_for(call, file);
    if (!copy.valid()) return -errno;
    Later& later = *call.later;
    later.kind = Later::Kind::Read;
    later.fd = std::move(copy);
    later.room = room;
    later.offset_bytes = offset;
    later.done_bytes = done;
    return kLater;
}

}  // namespace

i32 read(const Call& call) {
    const auto arguments = call.request.take<fuse_read_in>();
    if (!arguments || !is_offset(arguments->offset)) return -EINVAL;
    OpenFile* const file = call.share.files.file(arguments->fh);
    if (file == nullptr) return -EBADF;
    std::span<iovec> room = call.reply.data_room(arguments->size);
    u64 offset = arguments->offset;
    u64 done = 0;
    while (!room.empty()) {
        const int flags = file->can_refuse_to_wait && call.later != nullptr ? RWF_NOWAIT : 0;
        const ssize_t bytes =
            ::preadv2(file->fd.get(), room.data(), count_of(room), static_cast<off_t>(offset), flags);
        if (bytes < 0 && errno == EOPNOTSUPP && flags != 0) {
            file->can_refuse_to_wait = false;
            continue;
        }
        if (bytes < 0 && errno == EAGAIN && flags != 0) return read_later(call, *file, room, offset, done);
        // Continues after a short read: the guest takes a short answer for the end of the file.
        if (bytes < 0) return -errno;
        if (bytes == 0) break;
        done += static_cast<u64>(bytes);
        offset += static_cast<u64>(bytes);
        room = drop_front(room, static_cast<u64>(bytes));
        // The read may have stopped where it would have waited; else this is the end of the file.
        if (flags == 0) break;
    }
    call.reply.set_data(done);
    return 0;
}

i32 write(const Call& call) {
    const auto arguments = call.request.take<fuse_write_in>();
    if (!arguments || !is_offset(arguments->offset)) return -EINVAL;
    const OpenFile* const file = call.share.files.file(arguments->fh);
    if (file == nullptr) return -EBADF;
    if ((arguments->write_flags & FUSE_WRITE_KILL_SUIDGID) != 0) {
        if (const i32 error = drop_set_ids(file->fd.get(), call.share); error < 0) return error;
    }
    const std::span<const iovec> data = call.request.data();
    const bool is_page = (arguments->write_flags & FUSE_WRITE_CACHE) != 0;
    const int flags = (arguments->flags & O_APPEND) != 0 && !is_page ? RWF_APPEND : 0;
    const ssize_t bytes =
        ::pwritev2(file->fd.get(), data.data(), count_of(data), static_cast<off_t>(arguments->offset), flags);
    if (bytes < 0) return -errno;
    call.reply.put(fuse_write_out{.size = static_cast<u32>(bytes), .padding = 0});
    return 0;
}

i32 fsync(const Call& call) {
    const auto arguments = call.request.take<fuse_fsync_in>();
    if (!arguments) return -EINVAL;
    const OpenFile* const file = call.share.files.file(arguments->fh);
    if (file == nullptr) return -EBADF;
    const bool is_data_only = (arguments->fsync_flags & FUSE_FSYNC_FDATASYNC) != 0;
    UniqueFd copy = copy_for(call, *file);
    if (copy.valid()) {
        call.later->kind = is_data_only ? Later::Kind::SyncData : Later::Kind::Sync;
        call.later->fd = std::move(copy);
        return kLater;
    }
    return (is_data_only ? ::fdatasync(file->fd.get()) : ::fsync(file->fd.get())) < 0 ? -errno : 0;
}

i32 fallocate(const Call& call) {
    const auto arguments = call.request.take<fuse_fallocate_in>();
    if (!arguments || !is_offset(arguments->offset) || !is_offset(arguments->length)) return -EINVAL;
    const OpenFile* const file = call.share.files.file(arguments->fh);
    if (file == nullptr) return -EBADF;
    return ::fallocate(file->fd.get(), static_cast<int>(arguments->mode),
                       static_cast<off_t>(arguments->offset), static_cast<off_t>(arguments->length)) < 0
               ? -errno
               : 0;
}

i32 lseek(const Call& call) {
    const auto arguments = call.request.take<fuse_lseek_in>();
    if (!arguments || !is_offset(arguments->offset)) return -EINVAL;
    // A guest needs to ask only for these.
    if (arguments->whence != SEEK_DATA && arguments->whence != SEEK_HOLE) return -EINVAL;
    const OpenFile* const file = call.share.files.file(arguments->fh);
    if (file == nullptr) return -EBADF;
    const off_t offset =
        ::lseek(file->fd.get(), static_cast<off_t>(arguments->offset), static_cast<int>(arguments->whence));
    if (offset < 0) return -errno;
    call.reply.put(fuse_lseek_out{.offset = static_cast<u64>(offset)});
    return 0;
}

i32 copy_file_range(const Call& call) {
    const auto arguments = call.request.take<fuse_copy_file_range_in>();
    if (!arguments || !is_offset(arguments->off_in) || !is_offset(arguments->off_out)) return -EINVAL;
    const OpenFile* const from = call.share.files.file(arguments->fh_in);
    const OpenFile* const to = call.share.files.file(arguments->fh_out);
    if (from == nullptr || to == nullptr) return -EBADF;
    auto from_at = static_cast<off_t>(arguments->off_in);
    auto to_at = static_cast<off_t>(arguments->off_out);
    const ssize_t bytes =
        ::copy_file_range(from->fd.get(), &from_at, to->fd.get(), &to_at,
                          static_cast<std::size_t>(std::min(arguments->len, kCopyBytesMax)), 0);
    if (bytes < 0) return -errno;
    call.reply.put(fuse_write_out{.size = static_cast<u32>(bytes), .padding = 0});
    return 0;
}

i32 statfs(const Call& call) {
    const int fd = call.share.nodes.fd_of(call.node);
    if (fd < 0) return fd;
    struct statfs there {};
    if (::fstatfs(fd, &there) < 0) return -errno;
    fuse_statfs_out out{};
    out.st.blocks = there.f_blocks;
    out.st.bfree = there.f_bfree;
    out.st.bavail = there.f_bavail;
    out.st.files = there.f_files;
    out.st.ffree = there.f_ffree;
    out.st.bsize = static_cast<u32>(there.f_bsize);
    out.st.namelen = static_cast<u32>(there.f_namelen);
    out.st.frsize = static_cast<u32>(there.f_frsize);
    call.reply.put(out);
    return 0;
}

i32 syncfs(const Call& call) {
    if (call.share.options.is_read_only) return 0;
    // syncfs(2) refuses an O_PATH descriptor.
    const int opened = call.share.reopen(call.node, O_RDONLY);
    if (opened < 0) return opened;
    const UniqueFd fd = UniqueFd::adopt(opened);
    return ::syncfs(fd.get()) < 0 ? -errno : 0;
}

}  // namespace mayfly::operations
