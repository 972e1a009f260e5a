// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/copy_out/file_receiver.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>

#include "firmware/image/refuse.h"
#include "vmm/os/file_identity.h"
#include "vmm/text/log.h"
#include "vmm/watch/plain_text.h"

namespace mayfly {

namespace {

constexpr const char* kOption = "--copy-out";
constexpr u32 kPermissions = 0777;
constexpr u32 kOwnersAll = 0700;
/// Of warnings: a guest has no end.
constexpr u32 kLinesMax = 20;

int open_beneath(int directory, const std::string& path, u64 flags) {
    open_how how{};
    how.flags = flags | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    return static_cast<int>(::syscall(SYS_openat2, directory, path.c_str(), &how, sizeof(how)));
}

std::string_view kind_of(u32 mode) {
    switch (mode & S_IFMT) {
        case S_IFSOCK: return "a socket";
        case S_IFIFO: return "a pipe";
        case S_IFCHR:
        case S_IFBLK: return "a device";
        case S_IFDIR: return "a file system that the guest's kernel makes up";
        default: return "of a kind that mayfly does not know";
    }
}

}  // namespace

bool stays_inside(std::string_view path, std::string_view target) {
    if (target.starts_with('/')) return false;
    auto depth = std::ranges::count(path, '/');
    bool is_below = false;
    for (std::string_view left = target; !left.empty();) {
        const std::string_view part = left.substr(0, left.find('/'));
        left.remove_prefix(std::min(part.size() + 1, left.size()));
        if (part == ".." && (is_below || --depth < 0)) return false;
        is_below |= !part.empty() && part != "." && part != "..";
    }
    return true;
}

Result<std::unique_ptr<FileReceiver>> FileReceiver::open(const std::vector<CopyOut>& wanted,
                                                         std::function<bool()> must_hurry) {
    std::vector<Copy> copies;
    for (const CopyOut& copy : wanted) {
        if (const std::optional<int> descriptor = descriptor_named(copy.host)) {
            // Of its own: the program's stdout is closed when the program has.
            UniqueFd stream = UniqueFd::adopt(::fcntl(*descriptor, F_DUPFD_CLOEXEC, 0));
            if (!stream.valid()) return fail(Error::os("open").about(visible(copy.host)).about(kOption));
            copies.push_back({.guest = visible(copy.guest),
                              .parent = {},
                              .name = copy.host,
                              .host = visible(copy.host),
                              .stream = std::move(stream)});
            continue;
        }
        const bool is_inside = copy.host.ends_with('/');
        const SplitPath split = split_path(copy.host);
        const std::string directory = is_inside ? copy.host : split.directory;
        const std::string name = is_inside ? last_part(copy.guest) : split.name;
        if (is_inside && (name.empty() || name == "." || name == ".."))
            return refuse("{} {}:{}: {} has no name that it could have in there", kOption,
                          visible(copy.guest), visible(copy.host), visible(copy.guest));
        UniqueFd parent = UniqueFd::adopt(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (!parent.valid())
            return fail(Error::os("open").about(visible(directory)).about(kOption).hint("make it first"));
        copies.push_back({.guest = visible(copy.guest),
                          .parent = std::move(parent),
                          .name = name,
                          .host = visible(is_inside ? copy.host + name : copy.host)});
    }
    return std::unique_ptr<FileReceiver>(new FileReceiver(std::move(copies), std::move(must_hurry)));
}

Unexpected FileReceiver::failed(const FileName& name, std::string_view operation) const {
    const int error = errno;
    const Copy& copy = copies_[name.copy];
    const std::string path = name.path.empty() ? copy.host : copy.host + "/" + shown(name.path);
    return fail(Error::os(operation, error).about(path).about(kOption));
}

void FileReceiver::tell(Level level, const FileName& name, std::string_view what) {
    if (lines_ > kLinesMax) return;
    const Copy& copy = copies_[name.copy];
    const std::string path = name.path.empty() ? copy.guest : copy.guest + "/" + shown(name.path);
    const std::string line = lines_++ < kLinesMax ? fmt::format("{}: {}: {}", kOption, path, what)
                                                  : "--copy-out: more like that is not shown";
    level == Level::Error ? log::error(line) : log::warning(line);
}

Result<FileReceiver::Place> FileReceiver::place_of(const FileName& name) {
    const Copy& copy = copies_[name.copy];
    const SplitPath split = split_path(name.path);
    FileName directory{name.copy, name.path.find('/') == std::string::npos ? "" : split.directory};
    if (directory.path.empty()) return Place{copy.directory.get(), split.name};
    if (!directory_.valid() || directory_name_.copy != directory.copy ||
        directory_name_.path != directory.path) {
        directory_ =
            UniqueFd::adopt(open_beneath(copy.directory.get(), directory.path, O_PATH | O_DIRECTORY));
        directory_name_ = directory;
        if (!directory_.valid()) return failed(directory, "open");
    }
    return Place{directory_.get(), split.name};
}

/// Of what is there and is no directory.
Result<void> FileReceiver::make_way(const FileName& name, const Place& place) {
    if (::unlinkat(place.directory, place.name.c_str(), 0) == 0 || errno == ENOENT) return {};
    return failed(name, "replace");
}

Result<void> FileReceiver::on_directory(const FileName& name, u32 mode) {
    const u32 permissions = (mode & kPermissions) | kOwnersAll;
    Copy& copy = copies_[name.copy];
    if (name.path.empty()) {
        // What the user named may be a link to a directory.
        if (copy.stream.valid()) {
            errno = ENOTDIR;
            return failed(name, "open");
        }
        const bool has_name = !copy.name.empty();
        if (has_name && ::mkdirat(copy.parent.get(), copy.name.c_str(), permissions) != 0 && errno != EEXIST)
            return failed(name, "mkdir");
        copy.directory = UniqueFd::adopt(::openat(copy.parent.get(), has_name ? copy.name.c_str() : ".",
                                                  O_PATH | O_DIRECTORY | O_CLOEXEC));
        return copy.directory.valid() ? Result<void>() : failed(name, "open");
    }
    const Place place = TRY(place_of(name));
    struct stat status {};
    if (::mkdirat(place.directory, place.name.c_str(), permissions) == 0) return {};
    if (errno != EEXIST) return failed(name, "mkdir");
    if (::fstatat(place.directory, place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISDIR(status.st_mode))
        return {};
    TRY_VOID(make_way(name, place));
    if (::mkdirat(place.directory, place.name.c_str(), permissions) == 0) return {};
    return failed(name, "mkdir");
}

/// As a shell's ">" would: a link, a pipe or a device that the user named is what the user meant.
Result<void> FileReceiver::open_top(Copy& copy, u32 mode) {
    if (copy.stream.valid()) {
        file_ = std::move(copy.stream);
        is_seekable_ = false;  // what others write there goes on
        return {};
    }
    constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    file_ = UniqueFd::adopt(::openat(copy.parent.get(), copy.name.empty() ? "." : copy.name.c_str(), kFlags,
                                     mode & kPermissions));
    struct stat status {};
    if (!file_.valid() && errno == EISDIR)
        return fail(Error::invalid("is a directory, and what came is a file")
                        .about(copy.host)
                        .about(kOption)
                        .hint("a slash at the end puts the file into it"));
    if (!file_.valid() || ::fstat(file_.get(), &status) != 0) return failed(file_name_, "open");
    is_seekable_ = S_ISREG(status.st_mode);
    // It only was not to wait for a reader of a pipe.
    if (::fcntl(file_.get(), F_SETFL, 0) != 0) return failed(file_name_, "open");
    return {};
}

Result<void> FileReceiver::on_file(const FileName& name, u32 mode) {
    file_name_ = name;
    position_ = 0;
    if (name.path.empty()) return open_top(copies_[name.copy], mode);
    const Place place = TRY(place_of(name));
    TRY_VOID(make_way(name, place));
    is_seekable_ = true;
    file_ =
        UniqueFd::adopt(::openat(place.directory, place.name.c_str(),
                                 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode & kPermissions));
    return file_.valid() ? Result<void>() : failed(name, "open");
}

Result<void> FileReceiver::write_on(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t put =
            is_seekable_ ? ::pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(position_))
                         : ::write(file_.get(), bytes.data(), bytes.size());
        if (put < 0 && errno == EINTR && !must_hurry_()) continue;
        if (put < 0) return failed(file_name_, "write");
        position_ += static_cast<u64>(put);
        bytes = bytes.subspan(static_cast<std::size_t>(put));
    }
    return {};
}

Result<void> FileReceiver::on_data(u64 at, std::span<const std::byte> bytes) {
    if (is_seekable_) {
        position_ = at;
        return write_on(bytes);
    }
    static constexpr std::array<std::byte, 4096> kZeros{};
    while (position_ < at)
        TRY_VOID(write_on(std::span(kZeros).first(std::min<u64>(kZeros.size(), at - position_))));
    return write_on(bytes);
}

Result<void> FileReceiver::on_file_end(u64 size_bytes, i64 mtime) {
    if (is_seekable_) {
        if (size_bytes > position_ && ::ftruncate(file_.get(), static_cast<off_t>(size_bytes)) != 0)
            return failed(file_name_, "write");
        const timespec times[2] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT}, {.tv_sec = mtime, .tv_nsec = 0}};
        (void)::futimens(file_.get(), times);  // a time that this file system has not is no loss
    } else {
        TRY_VOID(on_data(size_bytes, {}));
    }
    // Some file systems tell only then that there was no room.
    if (::close(file_.release()) != 0) return failed(file_name_, "close");
    return {};
}

Result<void> FileReceiver::on_link(const FileName& name, const std::string& target) {
    if (name.path.empty() || !stays_inside(name.path, target)) {
        tell(Level::Warning, name,
             fmt::format("is left out: the link leads out of what is copied, to {}", shown(target)));
        return {};
    }
    const Place place = TRY(place_of(name));
    TRY_VOID(make_way(name, place));
    if (::symlinkat(target.c_str(), place.directory, place.name.c_str()) != 0) return failed(name, "symlink");
    return {};
}

Result<void> FileReceiver::on_left_out(const FileName& name, u32 mode) {
    tell(Level::Warning, name, fmt::format("is left out: it is {}", kind_of(mode)));
    return {};
}

Result<void> FileReceiver::on_problem(const FileName& name, int error) {
    has_failed_ = true;
    const bool is_cut = file_.valid();
    file_ = UniqueFd();
    tell(Level::Error, name,
         fmt::format("{}{}", std::strerror(error), is_cut ? "; what is copied of it is not whole" : ""));
    return {};
}

}  // namespace mayfly
