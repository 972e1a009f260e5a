// SPDX-License-Identifier: Apache-2.0
// The system calls take paths only: the thread's working directory is Share::descriptors.
#include <cerrno>
#include <string_view>

#include <sys/stat.h>
#include <sys/xattr.h>

#include "vmm/share/operations/operations.h"

namespace mayfly::operations {

namespace {

/// The value of an attribute, or their list: its size where the guest asks with a size of 0. `get(where,
/// bytes)` is the system call.
template <typename Get>
i32 put_value(const Call& call, u32 size, Get get) {
    if (size == 0) {
        const ssize_t bytes = get(nullptr, 0);
        if (bytes < 0) return -errno;
        call.reply.put(fuse_getxattr_out{.size = static_cast<u32>(bytes), .padding = 0});
        return 0;
    }
    const std::span<std::byte> space = call.reply.space(size);
    const ssize_t bytes = get(space.data(), space.size());
    if (bytes < 0) return -errno;
    call.reply.used(static_cast<std::size_t>(bytes));
    return 0;
}

/// Changing a file's ACL drops set-group-ID for a group that is not the user's.
i32 drop_set_group(const Share& share, int fd) {
    host::Attributes attributes{};
    if (const int error = host::attributes_of(fd, attributes); error < 0) return error;
    if ((attributes.stx_mode & S_ISGID) == 0) return 0;
    const mode_t mode = attributes.stx_mode & 07777U & ~u32{S_ISGID};
    return ::fchmodat(share.descriptors.get(), DescriptorName(fd).c_str(), mode, 0) < 0 ? -errno : 0;
}

}  // namespace

i32 getxattr(const Call& call) {
    const auto arguments = call.request.take<fuse_getxattr_in>();
    const char* const name = arguments ? call.request.take_text() : nullptr;
    if (name == nullptr) return -EINVAL;
    const int fd = call.share.nodes.fd_of(call.node);
    if (fd < 0) return fd;
    const DescriptorName path(fd);
    const i32 error = put_value(call, arguments->size, [&](void* where, std::size_t bytes) {
        return ::getxattr(path.c_str(), name, where, bytes);
    });
    // On a file system without ACLs files have none; otherwise the guest could not check any permission.
    const bool is_list = std::string_view(name).starts_with("system.posix_acl_");
    return error == -EOPNOTSUPP && is_list ? -ENODATA : error;
}

i32 listxattr(const Call& call) {
    const auto arguments = call.request.take<fuse_getxattr_in>();
    if (!arguments) return -EINVAL;
    const int fd = call.share.nodes.fd_of(call.node);
    if (fd < 0) return fd;
    const DescriptorName path(fd);
    return put_value(call, arguments->size, [&](void* where, std::size_t bytes) {
        return ::listxattr(path.c_str(), static_cast<char*>(where), bytes);
    });
}

i32 setxattr(const Call& call) {
    const auto arguments = call.request.take_part<fuse_setxattr_in>(
        call.share.has_long_setxattr ? sizeof(fuse_setxattr_in) : FUSE_COMPAT_SETXATTR_IN_SIZE);
    const char* const name = arguments ? call.request.take_text() : nullptr;
    if (name == nullptr || arguments->size > call.request.rest().size()) return -EINVAL;
    const int fd = call.share.nodes.fd_of(call.node);
    if (fd < 0) return fd;
    if (::setxattr(DescriptorName(fd).c_str(), name, call.request.rest().data(), arguments->size,
                   static_cast<int>(arguments->flags)) < 0)
        return -errno;
    const bool drops_group = (arguments->setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID) != 0;
    return drops_group ? drop_set_group(call.share, fd) : 0;
}

i32 removexattr(const Call& call) {
    const char* const name = call.request.take_text();
    if (name == nullptr) return -EINVAL;
    const int fd = call.share.nodes.fd_of(call.node);
    if (fd < 0) return fd;
    return ::removexattr(DescriptorName(fd).c_str(), name) < 0 ? -errno : 0;
}

}  // namespace mayfly::operations
