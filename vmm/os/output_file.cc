// SPDX-License-Identifier: Apache-2.0
#include "vmm/os/output_file.h"

#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "vmm/os/clock.h"
#include "vmm/os/file_identity.h"

namespace mayfly {

namespace {

// Non-blocking for the opening only: a FIFO without a reader is an error, not a wait without a timeout.
constexpr int kOpenFlags = O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
constexpr mode_t kFreshMode = 0666;  // minus the user's umask
constexpr int kLookMs = 1000;        // how often the machine's end is checked

/// The rest, up to the rename, is too short to be interrupted, which would leave a file behind.
class SignalsHeld {
  public:
    SignalsHeld() {
        sigset_t all;
        ::sigfillset(&all);
        ::sigprocmask(SIG_SETMASK, &all, &before_);
    }
    SignalsHeld(const SignalsHeld&) = delete;
    SignalsHeld& operator=(const SignalsHeld&) = delete;
    ~SignalsHeld() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }

  private:
    sigset_t before_;
};

/// Why a name cannot be opened for writing, with errno from the attempt.
Error refusal(const std::string& name, const std::string& path) {
    const int error = errno;
    struct stat status {};
    if (error == ENXIO && ::stat(path.c_str(), &status) == 0) {
        if (S_ISFIFO(status.st_mode)) return Error::invalid("is a FIFO that nobody reads").about(name);
        if (S_ISSOCK(status.st_mode)) return Error::invalid("is a socket").about(name);
    }
    return Error::os("open", error).about(name);
}

Result<void> write_all(int fd, std::string_view text, const std::function<bool()>& should_give_up) {
    while (!text.empty()) {
        const ssize_t written = ::write(fd, text.data(), text.size());
        if (written >= 0) {
            text.remove_prefix(static_cast<std::size_t>(written));
            continue;
        }
        if (errno != EINTR && errno != EAGAIN) return fail(Error::os("write"));
        const bool is_full = errno == EAGAIN;
        if (should_give_up()) return fail(Error::host("its reader has stalled"));
        pollfd room{.fd = fd, .events = POLLOUT, .revents = 0};
        if (is_full) (void)::poll(&room, 1, kLookMs);
    }
    return {};
}

}  // namespace

Result<UniqueFd> handed_descriptor(int number, const std::string& name) {
    const int flags = ::fcntl(number, F_GETFD);
    if (flags < 0 || (flags & FD_CLOEXEC) != 0)
        return fail(Error::invalid("mayfly was started without this descriptor").about(name));
    const int access = ::fcntl(number, F_GETFL) & O_ACCMODE;
    if (access == O_RDONLY) return fail(Error::invalid("is closed, or open for reading only").about(name));
    UniqueFd fd = UniqueFd::adopt(::fcntl(number, F_DUPFD_CLOEXEC, 0));
    if (!fd.valid()) return fail(Error::os("dup").about(name));
    return fd;
}

Result<UniqueFd> open_stream(const std::string& name, StreamStart start) {
    if (const std::optional<int> number = descriptor_named(name)) return handed_descriptor(*number, name);
    const int more = start == StreamStart::Append ? O_APPEND : 0;
    UniqueFd fd = UniqueFd::adopt(::open(name.c_str(), kOpenFlags | O_CREAT | more, kFreshMode));
    if (!fd.valid()) return fail(refusal(name, name));
    ::fcntl(fd.get(), F_SETFL, more);
    return fd;
}

Result<void> start_afresh(const UniqueFd& stream, const std::string& name) {
    // EINVAL: a FIFO or a terminal, which hold nothing.
    if (descriptor_named(name) || ::ftruncate(stream.get(), 0) == 0 || errno == EINVAL) return {};
    return fail(Error::os("truncate").about(name));
}

Result<ReportFile> ReportFile::open(const std::string& name) {
    ReportFile report;
    report.name_ = name;
    const std::string path = behind_links(name);
    if (const std::optional<int> number = descriptor_named(path)) {
        report.fd_ = TRY(handed_descriptor(*number, name));
        return report;
    }
    UniqueFd fd = UniqueFd::adopt(::open(path.c_str(), kOpenFlags));
    struct stat status {};
    if (fd.valid() && ::fstat(fd.get(), &status) < 0) return fail(Error::os("fstat").about(name));
    if (fd.valid() && !S_ISREG(status.st_mode)) {
        ::fcntl(fd.get(), F_SETFL, 0);
        report.fd_ = std::move(fd);
        return report;
    }
    const int error = fd.valid() ? 0 : errno;
    const bool waits_for_reader =
        error == ENXIO && ::stat(path.c_str(), &status) == 0 && S_ISFIFO(status.st_mode);
    errno = error;
    if (error != 0 && error != ENOENT && !waits_for_reader) return fail(refusal(name, path));
    SplitPath parts = split_path(path);
    if (parts.name.empty()) return fail(Error::os("open", EISDIR).about(name));
    report.base_ = std::move(parts.name);
    report.directory_ = UniqueFd::adopt(::open(parts.directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!report.directory_.valid()) return fail(Error::os("open").about(name));
    if (waits_for_reader) return report;
    if (error == 0) report.replaced_ = Replaced{status.st_mode & 07777, status.st_uid, status.st_gid};
    TRY_VOID(report.check_directory());
    return report;
}

/// Making a file is the only sure test, but takes a tenth of a boot on a file system with a journal. So
/// permissions are checked instead, unless the directory is in /proc or the like, which have no blocks.
Result<void> ReportFile::check_directory() {
    struct statfs system {};
    takes_new_file_ = ::faccessat(directory_.get(), ".", W_OK | X_OK, AT_EACCESS) == 0 &&
                      ::fstatfs(directory_.get(), &system) == 0 && system.f_blocks != 0;
    if (takes_new_file_) return {};
    const SignalsHeld held;
    const auto [temporary, fd] = make_temporary();
    takes_new_file_ = fd.valid();
    if (!fd.valid() && !replaced_) return fail(Error::os("open").about(name_));
    if (fd.valid()) ::unlinkat(directory_.get(), temporary.c_str(), 0);
    return {};
}

ReportFile::TemporaryFile ReportFile::make_temporary() const {
    // A name of its own, because one with more added to it may be too long.
    std::string name = ".mayfly-" + std::to_string(::getpid()) + "-" + std::to_string(monotonic_ns());
    UniqueFd fd =
        UniqueFd::adopt(::openat(directory_.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                                 replaced_ ? 0600 : kFreshMode));
    return {std::move(name), std::move(fd)};
}

/// False, for writing in place, where the directory refuses `operation` and the file exists.
Result<bool> ReportFile::unless_refused(const char* operation) const {
    const bool is_refused =
        errno == EPERM || errno == EACCES || errno == EROFS || errno == EBUSY || errno == EXDEV;
    if (is_refused && replaced_) return false;
    return fail(Error::os(operation));
}

/// False where the file must be written in place.
Result<bool> ReportFile::replace(std::string_view text) const {
    const SignalsHeld held;
    const TemporaryFile temporary = make_temporary();
    const UniqueFd& fd = temporary.fd;
    if (!fd.valid()) return unless_refused("open");
    const auto keep_owner = [&] {
        struct stat status {};
        if (!replaced_) return true;
        if (::fstat(fd.get(), &status) < 0) return false;
        const bool is_alike = status.st_uid == replaced_->owner && status.st_gid == replaced_->group;
        return (is_alike || ::fchown(fd.get(), replaced_->owner, replaced_->group) == 0) &&
               ::fchmod(fd.get(), replaced_->mode) == 0;
    };
    Result<bool> done = keep_owner();
    if (*done) {
        // An ordinary file has no reader that could stall.
        const Result<void> written = write_all(fd.get(), text, [] { return false; });
        if (!written) done = fail(written.error());
    }
    if (done && *done &&
        ::renameat(directory_.get(), temporary.name.c_str(), directory_.get(), base_.c_str()) < 0)
        done = unless_refused("rename");
    if (!done || !*done) ::unlinkat(directory_.get(), temporary.name.c_str(), 0);
    return done;
}

Result<void> ReportFile::write_in_place(std::string_view text,
                                        const std::function<bool()>& should_give_up) const {
    const UniqueFd fd = UniqueFd::adopt(::openat(directory_.get(), base_.c_str(), kOpenFlags | O_TRUNC));
    if (!fd.valid() && errno == ENXIO) return fail(Error::invalid("is a FIFO that nobody reads"));
    if (!fd.valid()) return fail(Error::os("open"));
    ::fcntl(fd.get(), F_SETFL, 0);
    return write_all(fd.get(), text, should_give_up);
}

Result<void> ReportFile::write(std::string_view text, const std::function<bool()>& should_give_up) const {
    Result<bool> done = false;
    if (takes_new_file_) done = replace(text);
    if (done && !*done) {
        Result<void> written =
            fd_.valid() ? write_all(fd_.get(), text, should_give_up) : write_in_place(text, should_give_up);
        if (!written) done = fail(std::move(written).error());
    }
    if (!done) return fail(std::move(done).error().about(name_));
    return {};
}

}  // namespace mayfly
