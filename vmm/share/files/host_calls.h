// SPDX-License-Identifier: Apache-2.0
// System calls that C libraries lack or declare differently. Each \returns the call's result, or -errno.
// Thread: any.
#pragma once

#include <cerrno>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/error/ints.h"
#include "vmm/os/unique_fd.h"

namespace mayfly::host {

/// A file's identity, and the attributes that the guest sees.
using Attributes = struct statx;
inline constexpr unsigned kAttributes = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID;

[[nodiscard]] inline int result_of(long returned) {
    return returned < 0 ? -errno : static_cast<int>(returned);
}

[[nodiscard]] inline int attributes_of(int fd, Attributes& attributes) {
    return result_of(::syscall(SYS_statx, fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, kAttributes, &attributes));
}

/// `name` is a single name: not a path, and not "..".
[[nodiscard]] inline int attributes_at(int directory, const char* name, Attributes& attributes) {
    return result_of(::syscall(SYS_statx, directory, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, kAttributes,
                               &attributes));
}

/// Opens only names beneath the directory, without following links, even while others change it.
[[nodiscard]] inline UniqueFd open_beneath(int directory, const char* name, int flags, mode_t mode = 0) {
    open_how how{};
    how.flags = static_cast<u64>(static_cast<unsigned>(flags | O_NOFOLLOW | O_CLOEXEC));
    how.mode = mode;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    for (;;) {
        const long fd = ::syscall(SYS_openat2, directory, name, &how, sizeof how);
        // EAGAIN: a concurrent rename elsewhere kept the kernel from deciding.
        if (fd >= 0 || (errno != EINTR && errno != EAGAIN)) return UniqueFd::adopt(static_cast<int>(fd));
    }
}

[[nodiscard]] inline int rename_at(int from, const char* name, int to, const char* new_name, unsigned flags) {
    return result_of(::syscall(SYS_renameat2, from, name, to, new_name, flags));
}

}  // namespace mayfly::host
