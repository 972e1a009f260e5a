// SPDX-License-Identifier: Apache-2.0
// The FUSE requests, one function each: takes its arguments out of the request, does the work on the host and
// builds the answer. \returns 0, or -errno, which discards the answer.
//
// Thread: the share's. Spec: Linux include/uapi/linux/fuse.h.
#pragma once

#include "vmm/share/operations/later.h"
#include "vmm/share/operations/share.h"

namespace mayfly::operations {

/// A request with its node, which the guest knows.
struct Call {
    Share& share;
    FuseRequest& request;
    FuseReply& reply;
    Node& node;
    Later* later = nullptr;  ///< null: the request is done now, however long that takes
};

/// The answer of an operation that has filled in `later`.
inline constexpr i32 kLater = 1;

// names.cc
[[nodiscard]] i32 lookup(const Call& call);
[[nodiscard]] i32 readlink(const Call& call);
[[nodiscard]] i32 symlink(const Call& call);
[[nodiscard]] i32 mknod(const Call& call);
[[nodiscard]] i32 mkdir(const Call& call);
[[nodiscard]] i32 unlink(const Call& call);
[[nodiscard]] i32 rmdir(const Call& call);
[[nodiscard]] i32 rename(const Call& call);
[[nodiscard]] i32 rename2(const Call& call);
[[nodiscard]] i32 link(const Call& call);

// opens.cc
[[nodiscard]] i32 open(const Call& call);
[[nodiscard]] i32 create(const Call& call);
[[nodiscard]] i32 tmpfile(const Call& call);
[[nodiscard]] i32 flush(const Call& call);
[[nodiscard]] i32 release(const Call& call);

// contents.cc
[[nodiscard]] i32 read(const Call& call);
[[nodiscard]] i32 write(const Call& call);
[[nodiscard]] i32 fsync(const Call& call);
[[nodiscard]] i32 fallocate(const Call& call);
[[nodiscard]] i32 lseek(const Call& call);
[[nodiscard]] i32 copy_file_range(const Call& call);
[[nodiscard]] i32 statfs(const Call& call);
[[nodiscard]] i32 syncfs(const Call& call);

// directories.cc
[[nodiscard]] i32 opendir(const Call& call);
[[nodiscard]] i32 readdir(const Call& call);
[[nodiscard]] i32 readdirplus(const Call& call);
[[nodiscard]] i32 fsyncdir(const Call& call);

// attribute_requests.cc
[[nodiscard]] i32 getattr(const Call& call);
[[nodiscard]] i32 statx(const Call& call);
[[nodiscard]] i32 setattr(const Call& call);
/// Drops set-user-ID and set-group-ID, which a writer may not keep. \returns 0 or -errno.
[[nodiscard]] i32 drop_set_ids(int fd, const Share& share);

// extended_attributes.cc
[[nodiscard]] i32 getxattr(const Call& call);
[[nodiscard]] i32 setxattr(const Call& call);
[[nodiscard]] i32 listxattr(const Call& call);
[[nodiscard]] i32 removexattr(const Call& call);

}  // namespace mayfly::operations
