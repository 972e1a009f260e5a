// SPDX-License-Identifier: Apache-2.0
#include "vmm/kernel_cache/cache_directory.h"

#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <fmt/format.h>

#include "vmm/error/error.h"
#include "vmm/kernel_cache/file_times.h"
#include "vmm/os/ownership.h"

namespace mayfly {

namespace {

constexpr std::size_t kListingBytes = KiB(4);
constexpr int kLevelsMax = 3;
/// Writing an entry never takes so long.
constexpr u64 kUnfinishedMaxNs = 3'600'000'000'000;

/// Marks an entry that must not be removed, or was removed.
constexpr u64 kNever = ~u64{0};

struct Entry {
    std::string name;
    u64 size_bytes;
    u64 used_ns;
};

bool make_directory(const std::string& path, int levels) {
    if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return true;
    const std::size_t slash = path.find_last_of('/');
    if (errno != ENOENT || levels == 1 || slash == std::string::npos || slash == 0) return false;
    return make_directory(path.substr(0, slash), levels - 1) && make_directory(path, 1);
}

/// Adds the entry with this name, if it is an entry; removes unfinished files that a crash left.
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

/// The directory's readable entries.
std::vector<Entry> list_entries(const UniqueFd& directory) {
    std::vector<Entry> entries;
    // A separate file description: reading moves its position.
    const UniqueFd reader =
        UniqueFd::adopt(::openat(directory.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    // SAFETY: alignas makes the kernel's records, and dirent64's fields, aligned.
    alignas(dirent64) char listing[kListingBytes];
    for (;;) {
        const ssize_t got = ::getdents64(reader.get(), listing, sizeof(listing));
        if (got <= 0) return entries;
        for (ssize_t at = 0; at < got;) {
            const auto* record = reinterpret_cast<const dirent64*>(listing + at);
            at += record->d_reclen;
            look_at(directory, record->d_name, entries);
        }
    }
}

}  // namespace

Reason os_reason(std::string_view operation) { return Error::os(operation).message(); }

Opened open_cache_directory(const std::string& path) {
    UniqueFd fd = UniqueFd::adopt(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd.valid() && errno == ENOENT) return {};
    // Linux says ENOTDIR for a symbolic link too.
    if (!fd.valid() && errno == ENOTDIR) return {{}, "is not a directory, or is a symbolic link"};
    struct stat status {};
    if (!fd.valid() || ::fstat(fd.get(), &status) != 0) return {{}, os_reason("open")};
    if (Reason why = why_not_ours(status); !why.empty()) return {{}, std::move(why)};
    return {std::move(fd), {}};
}

Opened make_cache_directory(const std::string& path) {
    if (!make_directory(path, kLevelsMax)) return {{}, os_reason("mkdir")};
    return open_cache_directory(path);
}

Reason make_room(const UniqueFd& directory, std::string_view name, u64 needed_bytes,
                 const CacheLimits& limits) {
    std::vector<Entry> entries = list_entries(directory);
    struct statfs room {};
    if (::fstatfs(directory.get(), &room) != 0) return os_reason("fstatfs");
    u64 total_bytes = 0;
    for (const Entry& entry : entries) total_bytes += entry.size_bytes;
    const u64 available_bytes = u64{room.f_bavail} * static_cast<u64>(room.f_bsize) + total_bytes;
    const u64 limit_bytes = std::min(limits.bytes_max, available_bytes / 10);
    if (needed_bytes > limit_bytes)
        return fmt::format("it takes {} bytes, and the limit is {}: a tenth of what is free, and at most {}",
                           needed_bytes, limit_bytes, limits.bytes_max);
    std::size_t count = entries.size();
    for (Entry& entry : entries) {
        if (entry.name != name) continue;
        entry.used_ns = kNever;
        total_bytes -= entry.size_bytes;
        --count;
    }
    while (count > 0 && (count >= limits.entries_max || total_bytes + needed_bytes > limit_bytes)) {
        Entry* oldest = entries.data();
        for (Entry& entry : entries) {
            if (entry.used_ns < oldest->used_ns) oldest = &entry;
        }
        if (::unlinkat(directory.get(), oldest->name.c_str(), 0) != 0 && errno != ENOENT)
            return os_reason("unlink");
        oldest->used_ns = kNever;
        total_bytes -= oldest->size_bytes;
        --count;
    }
    return {};
}

}  // namespace mayfly
