// SPDX-License-Identifier: Apache-2.0
#include "vmm/initramfs/root_directory.h"

#include <cerrno>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/initramfs/archive/archive.h"

namespace mayfly {

namespace {

constexpr int kResolveTries = 100;

}  // namespace

Result<RootDirectory> RootDirectory::open(const std::string& path, Mounts mounts) {
    std::string label = printable(path);
    while (label.size() > 1 && label.back() == '/') label.pop_back();
    UniqueFd fd = UniqueFd::adopt(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd.valid()) return RootDirectory(std::move(fd), std::move(label), mounts);
    if (errno == ENOENT) return fail(Error::invalid("no such directory").about(label));
    if (errno == ENOTDIR) return fail(Error::invalid("is not a directory").about(label));
    return fail(Error::os("open").about(label));
}

UniqueFd RootDirectory::open_inside(const std::string& path) const {
    return open_resolved(path, RESOLVE_IN_ROOT | (mounts_ == Mounts::Seen ? 0 : RESOLVE_NO_XDEV));
}

UniqueFd RootDirectory::open_beneath(const std::string& path) const {
    return open_resolved(path, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
}

UniqueFd RootDirectory::open_resolved(const std::string& path, u64 resolve) const {
    open_how how{};
    how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    how.resolve = resolve;
    long raw = -1;
    // EAGAIN: a directory was renamed while ".." was followed (openat2(2)).
    for (int i = 0; i < kResolveTries && raw < 0; ++i) {
        raw = ::syscall(SYS_openat2, fd_.get(), path.c_str(), &how, sizeof(how));
        if (raw < 0 && errno != EAGAIN && errno != EINTR) break;
    }
    return UniqueFd::adopt(static_cast<int>(raw));
}

}  // namespace mayfly
