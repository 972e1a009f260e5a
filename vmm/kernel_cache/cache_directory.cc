// SPDX-License-Identifier: Apache-2.0
#include "vmm/kernel_cache/cache_directory.h"

#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <vector>

#include <fcntl.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "firmware/image/refuse.h"
#include "vmm/kernel_cache/file_times.h"
#include "vmm/text/size.h"

namespace mayfly {

namespace {

constexpr std::size_t kListingBytes = KiB(4);
constexpr int kLevelsMax = 3;
/// Nobody writes one entry for so long.
constexpr u64 kUnfinishedMaxNs = 3'600'000'000'000;

struct Entry {
    std::string name;
    u64 size_bytes;
    u64 used_ns;
};

Result<void> make_directory(const std::string& path, int levels) {
    if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return {};
    const std::size_t slash = path.find_last_of('/');
    if (errno != ENOENT || levels == 1 || slash == std::string::npos || slash == 0)
        return fail(Error::os("mkdir").about(path));
    TRY_VOID(make_directory(path.substr(0, slash), levels - 1));
    if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return {};
    return fail(Error::os("mkdir").about(path));
}

/// Adds the entry of this name, if it is one; removes what somebody began and left.
void look_at(const UniqueFd& directory, const char* name, std::vector<Entry>& entries) {
    const std::string_view text = name;
    const bool is_unfinished = text.ends_with(kUnfinishedSuffix);
    if (!is_unfinished && !text.ends_with(kEntrySuffix)) return;
    struct stat status {};
    if (::fstatat(directory.get(), name, &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode))
        return;
    const u64 used_ns = time_ns(status.st_mtim);
    if (!is_unfinished)
        entries.push_back({name, static_cast<u64>(status.st_size), used_ns});
    else if (used_ns + kUnfinishedMaxNs < now_ns())
        ::unlinkat(directory.get(), name, 0);
}

Result<std::vector<Entry>> list_entries(const UniqueFd& directory) {
    // A description of its own: reading moves its position.
    const UniqueFd reader =
        UniqueFd::adopt(::openat(directory.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!reader.valid()) return fail(Error::os("open"));
    std::vector<Entry> entries;
    // SAFETY: alignas makes room in which the kernel's records, and dirent64's fields, are aligned.
    alignas(dirent64) char listing[kListingBytes];
    for (;;) {
        const ssize_t got = ::getdents64(reader.get(), listing, sizeof(listing));
        if (got < 0) return fail(Error::os("read"));
        if (got == 0) return entries;
        for (ssize_t at = 0; at < got;) {
            const auto* record = reinterpret_cast<const dirent64*>(listing + at);
            at += record->d_reclen;
            look_at(directory, record->d_name, entries);
        }
    }
}

}  // namespace

Result<UniqueFd> open_cache_directory(const std::string& path) {
    UniqueFd fd = UniqueFd::adopt(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd.valid() && errno == ENOENT) return fail(Error::not_found("no such directory").about(path));
    // Linux says ENOTDIR for a symbolic link too.
    if (!fd.valid() && errno == ENOTDIR)
        return fail(Error::invalid("is no directory, or a symbolic link").about(path));
    if (!fd.valid()) return fail(Error::os("open").about(path));
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) return fail(Error::os("fstat").about(path));
    TRY_VOID(about(check_ours(status), path));
    return fd;
}

Result<UniqueFd> make_cache_directory(const std::string& path) {
    TRY_VOID(make_directory(path, kLevelsMax));
    return open_cache_directory(path);
}

Result<void> check_ours(const struct stat& status) {
    const uid_t user = ::geteuid();
    if (status.st_uid != user) return refuse("belongs to user {}, not {}", status.st_uid, user);
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return refuse("others may write to it: its mode is {:o}", status.st_mode & 07777);
    return {};
}

Result<void> make_room(const UniqueFd& directory, std::string_view name, u64 needed_bytes,
                       const CacheLimits& limits) {
    std::vector<Entry> entries = TRY(list_entries(directory));
    struct statfs room {};
    if (::fstatfs(directory.get(), &room) != 0) return fail(Error::os("fstatfs"));
    u64 total_bytes = 0;
    for (const Entry& entry : entries) total_bytes += entry.size_bytes;
    const u64 available_bytes = u64{room.f_bavail} * static_cast<u64>(room.f_bsize) + total_bytes;
    const u64 limit_bytes = std::min(limits.bytes_max, available_bytes / 10);
    if (needed_bytes > limit_bytes)
        return refuse("it takes {} bytes, and the limit is {}: a tenth of what is free, and at most {}",
                      needed_bytes, limit_bytes, print_size(limits.bytes_max));
    // The newest first, so that the last one is the next to go.
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.used_ns > b.used_ns; });
    std::erase_if(entries, [&](const Entry& entry) {
        if (entry.name == name) total_bytes -= entry.size_bytes;
        return entry.name == name;
    });
    while (!entries.empty() &&
           (entries.size() >= limits.entries_max || total_bytes + needed_bytes > limit_bytes)) {
        if (::unlinkat(directory.get(), entries.back().name.c_str(), 0) != 0 && errno != ENOENT)
            return fail(Error::os("unlink").about(entries.back().name));
        total_bytes -= entries.back().size_bytes;
        entries.pop_back();
    }
    return {};
}

}  // namespace mayfly
