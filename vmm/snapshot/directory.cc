// SPDX-License-Identifier: Apache-2.0
#include "vmm/snapshot/directory.h"

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <dirent.h>
#include <memory>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>

#include "vmm/os/file_identity.h"
#include "vmm/snapshot/whole_write.h"
#include "vmm/text/log.h"

namespace mayfly {

namespace {

constexpr const char* kState = "state";
constexpr const char* kMemory = "memory";
constexpr std::string_view kTemporary = ".tmp.";
constexpr mode_t kDirectoryMode = 0700;
constexpr mode_t kNewMode = 0600;
constexpr mode_t kSettledMode = 0400;

/// Slashes at its end do not count.
SplitPath place_of(std::string name) {
    while (name.size() > 1 && name.back() == '/') name.pop_back();
    return split_path(name);
}

UniqueFd open_directory(int at, const char* name) {
    return UniqueFd::adopt(::openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

void remove_directory(int parent, const char* name) {
    if (const UniqueFd directory = open_directory(parent, name); directory.valid()) {
        for (const char* file : {kState, kMemory}) ::unlinkat(directory.get(), file, 0);
    }
    ::unlinkat(parent, name, AT_REMOVEDIR);
}

/// Of NAME.tmp.PID; 0 for other names.
pid_t maker_of(std::string_view entry, std::string_view name) {
    if (!entry.starts_with(name) || !entry.substr(name.size()).starts_with(kTemporary)) return 0;
    const std::string_view digits = entry.substr(name.size() + kTemporary.size());
    pid_t pid = 0;
    const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), pid);
    return status == std::errc() && end == digits.data() + digits.size() ? pid : 0;
}

/// What a mayfly that was killed has left.
void sweep(int parent, std::string_view name) {
    const std::unique_ptr<DIR, int (*)(DIR*)> list(::fdopendir(::fcntl(parent, F_DUPFD_CLOEXEC, 0)),
                                                   ::closedir);
    if (list == nullptr) return;
    while (const dirent* entry = ::readdir(list.get())) {
        const pid_t maker = maker_of(entry->d_name, name);
        if (maker > 0 && ::kill(maker, 0) < 0 && errno == ESRCH) remove_directory(parent, entry->d_name);
    }
}

Error taken(const std::string& name) {
    return Error::invalid(name + " exists already").hint("remove it, or give another name");
}

/// The parent of a name that is free.
Result<UniqueFd> open_free(const std::string& name) {
    const SplitPath place = place_of(name);
    UniqueFd parent = UniqueFd::adopt(::open(place.directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!parent.valid()) return fail(Error::os("open").about(place.directory));
    if (::faccessat(parent.get(), ".", W_OK | X_OK, 0) < 0)
        return fail(Error::os("access").about(place.directory));
    struct stat about {};
    if (::fstatat(parent.get(), place.name.c_str(), &about, AT_SYMLINK_NOFOLLOW) == 0)
        return fail(taken(name));
    return parent;
}

Result<std::vector<std::byte>> read_state(const UniqueFd& file) {
    struct stat about {};
    if (::fstat(file.get(), &about) < 0) return fail(Error::os("fstat"));
    const auto size = static_cast<u64>(about.st_size);
    if (size > kStateBytesMax)
        return fail(Error::invalid(fmt::format("it has {} bytes, the limit is {}", size, kStateBytesMax)));
    std::vector<std::byte> bytes(size);
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t got = ::read(file.get(), bytes.data() + done, bytes.size() - done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(Error::os("read"));
        if (got == 0) break;
        done += static_cast<std::size_t>(got);
    }
    bytes.resize(done);
    return bytes;
}

Result<UniqueFd> open_file(const UniqueFd& directory, const char* name) {
    // Not held up by a FIFO.
    UniqueFd file =
        UniqueFd::adopt(::openat(directory.get(), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file.valid() && errno == ENOENT)
        return fail(Error::invalid("it is missing: this is not a whole snapshot"));
    if (!file.valid()) return fail(Error::os("open"));
    struct stat about {};
    if (::fstat(file.get(), &about) < 0) return fail(Error::os("fstat"));
    if (!S_ISREG(about.st_mode)) return fail(Error::invalid("it is not a regular file"));
    if ((about.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        log::warning(
            fmt::format("others may write the snapshot's file {}, and so decide what its guest does", name));
    return file;
}

template <typename T>
Result<T> about_file(Result<T> result, const std::string& name, const char* file) {
    if (!result) return fail(std::move(result).error().about(name + "/" + file));
    return result;
}

}  // namespace

Result<void> SnapshotWriter::check(const std::string& name) {
    (void)TRY(open_free(name));
    return {};
}

Result<SnapshotWriter> SnapshotWriter::create(const std::string& name) {
    SnapshotWriter writer;
    const SplitPath place = place_of(name);
    writer.name_ = name;
    writer.last_ = place.name;
    writer.parent_ = TRY(open_free(name));
    sweep(writer.parent_.get(), place.name);
    const std::string temporary = fmt::format("{}{}{}", place.name, kTemporary, ::getpid());
    if (::mkdirat(writer.parent_.get(), temporary.c_str(), kDirectoryMode) < 0)
        return fail(Error::os("mkdir").about(name));
    writer.temporary_ = temporary;
    writer.directory_ = open_directory(writer.parent_.get(), temporary.c_str());
    if (!writer.directory_.valid()) return fail(Error::os("open").about(name));
    writer.memory_ = TRY(writer.new_file(kMemory));
    return writer;
}

SnapshotWriter::SnapshotWriter(SnapshotWriter&& other) noexcept
    : name_(std::move(other.name_)),
      last_(std::move(other.last_)),
      temporary_(std::exchange(other.temporary_, {})),
      parent_(std::move(other.parent_)),
      directory_(std::move(other.directory_)),
      memory_(std::move(other.memory_)) {}

SnapshotWriter::~SnapshotWriter() {
    if (!temporary_.empty()) remove_directory(parent_.get(), temporary_.c_str());
}

Result<UniqueFd> SnapshotWriter::new_file(const char* name) const {
    UniqueFd file =
        UniqueFd::adopt(::openat(directory_.get(), name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, kNewMode));
    if (!file.valid()) return fail(Error::os("open").about(name_ + "/" + name));
    return file;
}

Result<void> SnapshotWriter::settle(const UniqueFd& file, const char* name) const {
    if (::fchmod(file.get(), kSettledMode) < 0 || ::fsync(file.get()) < 0)
        return fail(Error::os("fsync").about(name_ + "/" + name));
    return {};
}

Result<void> SnapshotWriter::finish(std::span<const std::byte> state) {
    const UniqueFd file = TRY(new_file(kState));
    Result<void> written = write_whole(file, state, 0);
    if (!written) return fail(std::move(written).error().about(name_ + "/" + kState));
    TRY_VOID(settle(file, kState));
    TRY_VOID(settle(memory_, kMemory));
    if (::fsync(directory_.get()) < 0) return fail(Error::os("fsync").about(name_));
    // musl has no function for it.
    if (::syscall(SYS_renameat2, parent_.get(), temporary_.c_str(), parent_.get(), last_.c_str(),
                  RENAME_NOREPLACE) < 0)
        return fail(errno == EEXIST ? taken(name_) : Error::os("rename").about(name_));
    temporary_.clear();
    if (::fsync(parent_.get()) < 0) return fail(Error::os("fsync").about(name_));
    return {};
}

Result<SnapshotFiles> open_snapshot(const std::string& name) {
    const UniqueFd directory = UniqueFd::adopt(::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory.valid() && errno == ENOENT) return fail(Error::invalid(name + ": no such snapshot"));
    if (!directory.valid() && errno == ENOTDIR)
        return fail(Error::invalid(name + " is not a directory, as a snapshot is"));
    if (!directory.valid()) return fail(Error::os("open").about(name));
    SnapshotFiles files;
    const UniqueFd state = TRY(about_file(open_file(directory, kState), name, kState));
    files.state = TRY(about_file(read_state(state), name, kState));
    files.sections = TRY(about_file(read_state_file(files.state), name, kState));
    files.memory = TRY(about_file(open_file(directory, kMemory), name, kMemory));
    return files;
}

}  // namespace mayfly
