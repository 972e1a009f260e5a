// SPDX-License-Identifier: Apache-2.0
#include "vmm/os/file_identity.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/os/unique_fd.h"

namespace mayfly {

namespace {

constexpr int kLinksMax = 40;  // path_resolution(7)

/// What readlink(2) says; empty for anything but a link.
std::string link_text(const std::string& path) {
    std::array<char, PATH_MAX> text;
    const ssize_t size = ::readlink(path.c_str(), text.data(), text.size());
    return size < 0 ? std::string() : std::string(text.data(), static_cast<std::size_t>(size));
}

}  // namespace

SplitPath split_path(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return {".", path};
    return {path.substr(0, slash == 0 ? 1 : slash), path.substr(slash + 1)};
}

std::optional<int> descriptor_named(const std::string& name) {
    constexpr std::pair<std::string_view, int> kStandard[] = {
        {"-", STDOUT_FILENO},
        {"/dev/stdin", STDIN_FILENO},
        {"/dev/stdout", STDOUT_FILENO},
        {"/dev/stderr", STDERR_FILENO},
    };
    for (const auto& [standard, number] : kStandard) {
        if (name == standard) return number;
    }
    for (const std::string_view directory : {"/dev/fd/", "/proc/self/fd/"}) {
        if (!name.starts_with(directory)) continue;
        int number = 0;
        const char* end = name.data() + name.size();
        const auto [after, status] = std::from_chars(name.data() + directory.size(), end, number);
        if (status == std::errc{} && after == end && number >= 0) return number;
    }
    return std::nullopt;
}

std::string behind_links(const std::string& name) {
    std::string path = name;
    for (int links = 0; links < kLinksMax && !descriptor_named(path); ++links) {
        const std::string target = link_text(path);
        if (target.empty()) break;
        path = target.front() == '/' ? target : split_path(path).directory.append("/").append(target);
    }
    struct stat at_name {};
    struct stat at_path {};
    if (path == name || descriptor_named(path) || ::stat(name.c_str(), &at_name) < 0) return path;
    const bool is_same = ::stat(path.c_str(), &at_path) == 0 && at_path.st_dev == at_name.st_dev &&
                         at_path.st_ino == at_name.st_ino;
    return is_same ? path : name;
}

bool is_file_beneath(const std::string& name, const std::string& directory) {
    constexpr int kFlags = O_PATH | O_DIRECTORY | O_CLOEXEC;
    struct stat file {};
    struct stat top {};
    if (::stat(name.c_str(), &file) < 0 || !S_ISREG(file.st_mode)) return false;
    if (::stat(directory.c_str(), &top) < 0) return false;
    UniqueFd place = UniqueFd::adopt(::open(split_path(behind_links(name)).directory.c_str(), kFlags));
    ino_t below = 0;
    struct stat at {};
    while (place.valid() && ::fstat(place.get(), &at) == 0 && at.st_dev == top.st_dev) {
        if (at.st_ino == top.st_ino) return true;
        if (at.st_ino == below) return false;  // "/" is its own parent
        below = at.st_ino;
        place = UniqueFd::adopt(::openat(place.get(), "..", kFlags));
    }
    return false;
}

Result<void> OutputFiles::check(const struct stat& status, std::string_view label) {
    const FileIdentity identity = FileIdentity::of(status);
    for (File& file : files_) {
        if (identity.is_shareable || file.identity != identity) continue;
        file.is_refused = true;
        const std::string output = file.option + " " + file.name;
        return fail(Error::invalid(std::string(label) + " and " + output + " are one file")
                        .hint(file.option + " would destroy it: give it a file of its own"));
    }
    return {};
}

bool OutputFiles::was_refused(std::string_view option) const {
    return std::ranges::any_of(files_,
                               [&](const File& file) { return file.is_refused && file.option == option; });
}

FileIdentity FileIdentity::of(const struct stat& status) {
    if (S_ISBLK(status.st_mode)) return {.device = status.st_rdev};
    return {.device = status.st_dev, .inode = status.st_ino, .is_shareable = S_ISCHR(status.st_mode)};
}

std::optional<FileIdentity> FileIdentity::of_descriptor(int fd) {
    struct stat status {};
    if (::fstat(fd, &status) < 0) return std::nullopt;
    return of(status);
}

std::optional<FileIdentity> FileIdentity::of_name(const std::string& name) {
    if (const std::optional<int> number = descriptor_named(name)) return of_descriptor(*number);
    struct stat status {};
    if (::stat(name.c_str(), &status) == 0) return of(status);
    if (errno != ENOENT) return std::nullopt;
    const std::string path = behind_links(name);
    if (const std::optional<int> number = descriptor_named(path)) return of_descriptor(*number);
    SplitPath parts = split_path(path);
    if (parts.name.empty() || ::stat(parts.directory.c_str(), &status) < 0) return std::nullopt;
    return FileIdentity{.device = status.st_dev, .inode = status.st_ino, .name = std::move(parts.name)};
}

}  // namespace mayfly
