// SPDX-License-Identifier: Apache-2.0
#include "vmm/kernel_cache/cache_entry.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "vmm/kernel_cache/content_sum.h"
#include "vmm/kernel_cache/file_times.h"
#include "vmm/os/ownership.h"

namespace mayfly {

namespace {

/// Changes with the format of entries, and with the result of unpacking.
constexpr std::array<char, 16> kMagic{'m', 'a', 'y', 'f', 'l', 'y', ' ', 'k',
                                      'e', 'r', 'n', 'e', 'l', ' ', '1', '\n'};
/// Bytes summed, read and written at a time: they stay in a core's L2 cache.
constexpr u64 kChunk = KiB(256);
constexpr u64 kSampleBytes = KiB(1);
constexpr u64 kDayNs = 86'400'000'000'000;
constexpr int kTriesMax = 4;

struct Trailer {
    std::array<char, 16> magic = kMagic;
    KernelKey key;
    u64 unpacked_bytes = 0;
    u64 elf_sum = 0;
    u64 own_sum = 0;  ///< of the bytes before it
};
static_assert(std::has_unique_object_representations_v<Trailer>);

u64 sum_of(const Trailer& trailer) {
    return content_sum(0, std::as_bytes(std::span(&trailer, 1)).first(offsetof(Trailer, own_sum)));
}

std::string entry_name(const KernelKey& key) {
    return fmt::format("{:x}-{:x}{}", key.device, key.inode, kEntrySuffix);
}

/// False also where the file is shorter.
bool read_all(const UniqueFd& file, u64 offset_bytes, std::span<std::byte> out) {
    while (!out.empty()) {
        const ssize_t got = ::pread(file.get(), out.data(), out.size(), static_cast<off_t>(offset_bytes));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        offset_bytes += static_cast<u64>(got);
        out = out.subspan(static_cast<std::size_t>(got));
    }
    return true;
}

bool write_all(const UniqueFd& file, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t put = ::write(file.get(), bytes.data(), bytes.size());
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return false;
        bytes = bytes.subspan(static_cast<std::size_t>(put));
    }
    return true;
}

bool is_elf_whole(const UniqueFd& file, const Trailer& trailer, StopToken stop) {
    std::vector<std::byte> chunk(kChunk);
    u64 sum = 0;
    for (u64 at = 0; at < trailer.unpacked_bytes; at += kChunk) {
        const auto piece = std::span(chunk).first(std::min(kChunk, trailer.unpacked_bytes - at));
        if (stop.is_requested() || !read_all(file, at, piece)) return false;
        sum = content_sum(sum, piece);
    }
    return sum == trailer.elf_sum;
}

/// The time of the last change says when the entry was used, to about a day, and whether it was read whole
/// since the host was started: until then its pages come from a disk that may have lost some.
bool is_whole(const UniqueFd& file, const Trailer& trailer, u64 used_ns, StopToken stop) {
    const u64 now = now_ns();
    const bool was_checked = used_ns >= host_start_ns() && used_ns <= now;
    if (was_checked && now - used_ns < kDayNs) return true;
    if (!was_checked && !is_elf_whole(file, trailer, stop)) return false;
    // Where the time cannot be set, the next use reads the entry whole again.
    (void)::futimens(file.get(), nullptr);
    return true;
}

bool read_trailer(const UniqueFd& file, u64 file_bytes, Trailer& trailer) {
    return file_bytes >= sizeof(trailer) &&
           read_all(file, file_bytes - sizeof(trailer), std::as_writable_bytes(std::span(&trailer, 1))) &&
           trailer.magic == kMagic && trailer.own_sum == sum_of(trailer) &&
           trailer.unpacked_bytes == file_bytes - sizeof(trailer);
}

/// A file of the directory that is invisible to others until it has its name.
struct NewFile {
    UniqueFd fd;
    std::string path;  ///< the file that publish() names
    bool is_named = false;
};

/// With an invalid descriptor, and errno, where it cannot be made.
NewFile create_file(const UniqueFd& directory) {
    NewFile file;
    file.fd = UniqueFd::adopt(::openat(directory.get(), ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600));
    file.path = fmt::format("/proc/self/fd/{}", file.fd.get());
    if (file.fd.valid() && ::access(file.path.c_str(), F_OK) == 0) return file;
    // NFS, FUSE and 9p have no files without a name; without /proc, no such file can get one.
    file.path = fmt::format("{}{}", ::getpid(), kUnfinishedSuffix);
    file.is_named = true;
    ::unlinkat(directory.get(), file.path.c_str(), 0);
    file.fd = UniqueFd::adopt(::openat(directory.get(), file.path.c_str(),
                                       O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0600));
    return file;
}

bool write_entry(const UniqueFd& file, const PackedKernel& kernel, std::span<const std::byte> elf,
                 StopToken stop) {
    Trailer trailer{.key = kernel.key, .unpacked_bytes = elf.size()};
    for (u64 at = 0; at < elf.size(); at += kChunk) {
        const auto piece = elf.subspan(at, std::min(kChunk, elf.size() - at));
        trailer.elf_sum = content_sum(trailer.elf_sum, piece);
        if (stop.is_requested()) {
            errno = ECANCELED;
            return false;
        }
        if (!write_all(file, piece)) return false;
    }
    trailer.own_sum = sum_of(trailer);
    return write_all(file, std::as_bytes(std::span(&trailer, 1)));
}

bool publish(const UniqueFd& directory, const NewFile& file, const std::string& name) {
    if (file.is_named)
        return ::renameat(directory.get(), file.path.c_str(), directory.get(), name.c_str()) == 0;
    // A link does not replace: a reader in between finds nothing, which is harmless, as may another writer.
    for (int tries = 0; tries < kTriesMax; ++tries) {
        if (::linkat(AT_FDCWD, file.path.c_str(), directory.get(), name.c_str(), AT_SYMLINK_FOLLOW) == 0)
            return true;
        if (errno != EEXIST) break;
        if (::unlinkat(directory.get(), name.c_str(), 0) != 0 && errno != ENOENT) break;
    }
    return false;
}

}  // namespace

std::optional<PackedKernel> identify(const Image& kernel, const BzImage& bz, u64 settling_ns) {
    PackedKernel packed;
    // Before the first byte is read, so that a change while we read gets a later time.
    struct stat status {};
    if (::fstat(kernel.file()->get(), &status) != 0) return std::nullopt;
    packed.key = {.device = status.st_dev,
                  .inode = status.st_ino,
                  .size_bytes = static_cast<u64>(status.st_size),
                  .modified_ns = time_ns(status.st_mtim),
                  .changed_ns = time_ns(status.st_ctim),
                  .payload_offset_bytes = bz.payload_offset_bytes,
                  .payload_bytes = bz.payload_bytes,
                  .payload_sum = 0};
    const u64 settled_ns = now_ns() - settling_ns;
    packed.is_settled = packed.key.modified_ns <= settled_ns && packed.key.changed_ns <= settled_ns;
    std::array<std::byte, kSampleBytes> sample{};
    const u64 last = bz.payload_bytes - sample.size();
    for (const u64 at : {last / 3, last / 3 * 2, last}) {
        if (!read_all(*kernel.file(), bz.payload_offset_bytes + at, sample)) return std::nullopt;
        packed.key.payload_sum = content_sum(packed.key.payload_sum, sample);
    }
    u32 claimed_bytes = 0;  // Linux scripts/Makefile.lib "size_append"
    std::memcpy(&claimed_bytes, sample.data() + sample.size() - sizeof(claimed_bytes), sizeof(claimed_bytes));
    packed.unpacked_bytes = claimed_bytes;
    return packed;
}

Opened find_entry(const UniqueFd& directory, const PackedKernel& kernel, StopToken stop) {
    UniqueFd file = UniqueFd::adopt(::openat(directory.get(), entry_name(kernel.key).c_str(),
                                             O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!file.valid() && errno == ENOENT) return {};
    if (!file.valid() && errno == ELOOP) return {{}, "is a symbolic link"};
    struct stat status {};
    if (!file.valid() || ::fstat(file.get(), &status) != 0) return {{}, os_reason("open")};
    if (!S_ISREG(status.st_mode)) return {{}, "is not a regular file"};
    if (Reason why = why_not_ours(status); !why.empty()) return {{}, std::move(why)};
    Trailer trailer;
    if (!read_trailer(file, static_cast<u64>(status.st_size), trailer))
        return {{}, "is incomplete: it does not end in the trailer of a file of its size"};
    if (trailer.key != kernel.key || trailer.unpacked_bytes != kernel.unpacked_bytes) return {};
    if (!is_whole(file, trailer, time_ns(status.st_mtim), stop))
        return {{}, "is corrupt: its content has another sum than it had"};
    return {std::move(file), {}};
}

Reason store_entry(const UniqueFd& directory, const PackedKernel& kernel, std::span<const std::byte> elf,
                   const CacheLimits& limits, StopToken stop) {
    const std::string name = entry_name(kernel.key);
    const u64 file_bytes = elf.size() + sizeof(Trailer);
    // Checked, because a write beyond the limit would end the process by SIGXFSZ.
    struct rlimit limit {};
    if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && file_bytes > limit.rlim_cur)
        return fmt::format("it takes {} bytes, and files may have {} (ulimit -f)", file_bytes,
                           limit.rlim_cur);
    if (Reason why = make_room(directory, name, file_bytes, limits); !why.empty()) return why;
    const NewFile file = create_file(directory);
    if (file.fd.valid() && write_entry(file.fd, kernel, elf, stop) && publish(directory, file, name))
        return {};
    Reason why = os_reason("write");
    if (file.is_named) ::unlinkat(directory.get(), file.path.c_str(), 0);
    return why;
}

}  // namespace mayfly
