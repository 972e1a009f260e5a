// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/copy_out/file_receiver.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
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

constexpr u32 kPermissions = 0777;
constexpr u32 kOwnersAll = 0700;
constexpr u32 kLinesMax = 20;

int open_beneath(int directory, const std::string& path) {
    open_how how{};
    how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    return static_cast<int>(::syscall(SYS_openat2, directory, path.c_str(), &how, sizeof(how)));
}

u32 type_of(int directory, const std::string& name) {
    struct stat status {};
    const bool is_there = ::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
    return is_there ? status.st_mode & S_IFMT : 0;
}

/// Of a node that exists and is not a directory.
Result<void> make_way(int directory, const std::string& name) {
    if (::unlinkat(directory, name.c_str(), 0) == 0 || errno == ENOENT) return {};
    return fail(Error::os("replace"));
}

std::string_view kind_of(u32 mode) {
    switch (mode & S_IFMT) {
        case S_IFSOCK: return "a socket";
        case S_IFIFO: return "a pipe";
        case S_IFCHR:
        case S_IFBLK: return "a device";
        case S_IFDIR: return "a file system that the guest's kernel makes up";
        default: return "of an unknown kind";
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
                                                         std::function<bool()> should_give_up) {
    std::vector<Copy> copies;
    copies.reserve(wanted.size());
    for (const CopyOut& copy : wanted) {
        CopyPlace place = TRY(find_place(copy));
        copies.push_back({.guest = visible(copy.guest), .place = std::move(place)});
    }
    return std::unique_ptr<FileReceiver>(new FileReceiver(std::move(copies), std::move(should_give_up)));
}

bool FileReceiver::wants_more() const {
    return std::ranges::any_of(copies_, [](const Copy& copy) { return !copy.is_given_up; });
}

std::string FileReceiver::guest_path(const FileName& name) const {
    const std::string& guest = copies_[name.copy].guest;
    if (name.path.empty()) return guest;
    return guest + (guest.ends_with('/') ? "" : "/") + shown(name.path);
}

void FileReceiver::tell_failure(const std::string& line) {
    has_failed_ = true;
    if (failures_printed_ > kLinesMax) return;
    log::error(failures_printed_++ < kLinesMax ? line : "--copy-out: further failures are not shown");
}

void FileReceiver::tell_left_out(const FileName& name, const std::string& why) {
    const std::string line = fmt::format("{}: {}: is left out: {}", kCopyOutOption, guest_path(name), why);
    // A node that was asked for by name counts as failed.
    if (name.path.empty()) return tell_failure(line);
    if (left_out_printed_ > kLinesMax) return;
    log::warning(
        left_out_printed_++ < kLinesMax ? line : "--copy-out: further files that are left out are not shown");
}

void FileReceiver::conclude(const FileName& name, Result<void> result) {
    if (result) return;
    file_.give_up();
    Copy& copy = copies_[name.copy];
    copy.is_given_up = true;
    const std::string& host = copy.place.shown;
    const std::string path = name.path.empty() ? host : host + "/" + shown(name.path);
    if (result.error().kind() == ErrorKind::Stopped)
        return tell_failure(
            fmt::format("{}: {}: is not written to its end: mayfly was to end", kCopyOutOption, path));
    tell_failure(std::move(result).error().about(path).about(kCopyOutOption).message() +
                 (name.path.empty() ? "" : "; no more of " + host + " is made"));
}

Result<FileReceiver::Place> FileReceiver::place_of(const FileName& name) {
    const SplitPath split = split_path(name.path);
    FileName directory{name.copy, name.path.find('/') == std::string::npos ? "" : split.directory};
    const int top = copies_[name.copy].directory.get();
    if (directory.path.empty()) return Place{top, split.name};
    if (!directory_.valid() || directory_name_.copy != directory.copy ||
        directory_name_.path != directory.path) {
        directory_ = UniqueFd::adopt(open_beneath(top, directory.path));
        directory_name_ = std::move(directory);
        if (!directory_.valid()) return fail(Error::os("open"));
    }
    return Place{directory_.get(), split.name};
}

Result<void> FileReceiver::open_top(Copy& copy) {
    copy.directory = UniqueFd::adopt(::openat(copy.place.parent.get(), copy.place.name.c_str(),
                                              O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    return copy.directory.valid() ? Result<void>() : fail(Error::os("open"));
}

Result<void> FileReceiver::make_top(Copy& copy, u32 permissions) {
    const CopyPlace& place = copy.place;
    if (place.stream.valid()) return fail(Error::os("open", ENOTDIR));
    const int parent = place.parent.get();
    if (type_of(parent, place.name) == S_IFLNK) TRY_VOID(make_way(parent, place.name));
    if (::mkdirat(parent, place.name.c_str(), permissions) != 0 && errno != EEXIST)
        return fail(Error::os("mkdir"));
    return open_top(copy);
}

Result<void> FileReceiver::make_directory(const FileName& name, u32 permissions) {
    if (name.path.empty()) return make_top(copies_[name.copy], permissions);
    const auto [directory, last] = TRY(place_of(name));
    const u32 type = type_of(directory, last);
    if (type == S_IFDIR) return {};
    if (type != 0) TRY_VOID(make_way(directory, last));
    if (::mkdirat(directory, last.c_str(), permissions) == 0) return {};
    return fail(Error::os("mkdir"));
}

void FileReceiver::on_directory(const FileName& name, u32 mode) {
    if (!is_given_up(name)) conclude(name, make_directory(name, (mode & kPermissions) | kOwnersAll));
}

Result<void> FileReceiver::begin_file(const FileName& name, u32 permissions) {
    CopyPlace& place = copies_[name.copy].place;
    if (name.path.empty() && place.stream.valid()) {
        if (place.is_emptied && ::ftruncate(place.stream.get(), 0) != 0) return fail(Error::os("write"));
        return file_.begin(std::move(place.stream), should_give_up_);
    }
    Place at = name.path.empty() ? Place{place.parent.get(), place.name} : TRY(place_of(name));
    if (name.path.empty() && type_of(at.directory, at.name) == S_IFDIR) {
        TRY_VOID(open_top(copies_[name.copy]));
        at = {copies_[name.copy].directory.get(), place.leaf};
    }
    if (type_of(at.directory, at.name) != S_IFDIR)
        return file_.begin(at.directory, at.name, permissions, should_give_up_);
    return refuse("is a directory, and the guest sent a file");
}

void FileReceiver::on_file(const FileName& name, u32 mode) {
    file_name_ = name;
    if (!is_given_up(name)) conclude(name, begin_file(name, mode & kPermissions));
}

void FileReceiver::on_data(u64 at, std::span<const std::byte> bytes) {
    if (file_.is_open()) conclude(file_name_, file_.write(at, bytes));
}

void FileReceiver::on_file_end(u64 size_bytes, timespec mtime) {
    if (file_.is_open()) conclude(file_name_, file_.finish(size_bytes, mtime));
}

Result<void> FileReceiver::make_link(const FileName& name, const std::string& target) {
    const auto [directory, last] = TRY(place_of(name));
    TRY_VOID(make_way(directory, last));
    if (::symlinkat(target.c_str(), directory, last.c_str()) == 0) return {};
    return fail(Error::os("symlink"));
}

void FileReceiver::on_link(const FileName& name, const std::string& target) {
    if (is_given_up(name)) return;
    if (name.path.empty() || !stays_inside(name.path, target))
        return tell_left_out(name, "the link leads out of the copy, to " + shown(target));
    conclude(name, make_link(name, target));
}

void FileReceiver::on_left_out(const FileName& name, u32 mode) {
    if (!is_given_up(name)) tell_left_out(name, fmt::format("it is {}", kind_of(mode)));
}

void FileReceiver::on_problem(const FileName& name, int error) {
    file_.give_up();
    if (!is_given_up(name))
        tell_failure(fmt::format("{}: {}: {}", kCopyOutOption, guest_path(name), std::strerror(error)));
}

}  // namespace mayfly
