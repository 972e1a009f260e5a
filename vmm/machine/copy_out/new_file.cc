// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/copy_out/new_file.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

namespace mayfly {

namespace {

/// Never written, so it takes neither memory nor room in the binary.
std::array<std::byte, 65'536> zeros;

constexpr int kTriesMax = 100;
/// Only how often the end is checked.
constexpr int kLookMs = 100;

}  // namespace

Result<void> NewFile::begin(int directory, const std::string& name, u32 permissions,
                            const std::function<bool()>& should_give_up) {
    static std::atomic<u32> counter = 0;
    should_give_up_ = &should_give_up;
    position_ = 0;
    directory_ = directory;
    name_ = name;
    // A process that ended without tidying up may have left this name.
    for (int tries = 0; tries < kTriesMax && !fd_.valid(); ++tries) {
        temporary_name_ = fmt::format(".mayfly-{}-{}", ::getpid(), counter++);
        fd_ = UniqueFd::adopt(::openat(directory, temporary_name_.c_str(),
                                       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, permissions));
        if (!fd_.valid() && errno != EEXIST) break;
    }
    return fd_.valid() ? Result<void>() : fail(Error::os("open"));
}

Result<void> NewFile::begin(UniqueFd stream, const std::function<bool()>& should_give_up) {
    should_give_up_ = &should_give_up;
    position_ = 0;
    temporary_name_.clear();
    fd_ = std::move(stream);
    return {};
}

Result<void> NewFile::write_on(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        if ((*should_give_up_)()) return fail(Error::stopped());
        const ssize_t put = ::write(fd_.get(), bytes.data(), bytes.size());
        if (put >= 0) {
            position_ += static_cast<u64>(put);
            bytes = bytes.subspan(static_cast<std::size_t>(put));
        } else if (errno == EAGAIN) {
            // Another process made our stdout non-blocking.
            pollfd room{.fd = fd_.get(), .events = POLLOUT, .revents = 0};
            (void)::poll(&room, 1, kLookMs);
        } else if (errno != EINTR) {
            return fail(Error::os("write"));
        }
    }
    return {};
}

Result<void> NewFile::write(u64 at, std::span<const std::byte> bytes) {
    if (!temporary_name_.empty() && at != position_) {
        if (::lseek(fd_.get(), static_cast<off_t>(at), SEEK_SET) < 0) return fail(Error::os("write"));
        position_ = at;
    }
    while (position_ < at)
        TRY_VOID(write_on(std::span(zeros).first(std::min<u64>(zeros.size(), at - position_))));
    return write_on(bytes);
}

Result<void> NewFile::finish(u64 size_bytes, timespec mtime) {
    if (temporary_name_.empty()) {
        TRY_VOID(write(size_bytes, {}));
        fd_ = UniqueFd();
        return {};
    }
    if (size_bytes > position_ && ::ftruncate(fd_.get(), static_cast<off_t>(size_bytes)) != 0)
        return fail(Error::os("write"));
    const timespec times[2] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT}, mtime};
    (void)::futimens(fd_.get(), times);  // a time that this file system lacks does not matter
    // Some file systems report a lack of room only then.
    const int closed = ::close(fd_.release());
    const Error why = Error::os("close");
    if (closed == 0 && ::renameat(directory_, temporary_name_.c_str(), directory_, name_.c_str()) == 0) {
        temporary_name_.clear();
        return {};
    }
    const Error refused = closed != 0 ? why : Error::os("replace");
    (void)::unlinkat(directory_, std::exchange(temporary_name_, {}).c_str(), 0);
    return fail(refused);
}

void NewFile::give_up() {
    if (!fd_.valid()) return;
    fd_ = UniqueFd();
    if (!temporary_name_.empty()) (void)::unlinkat(directory_, temporary_name_.c_str(), 0);
    temporary_name_.clear();
}

}  // namespace mayfly
