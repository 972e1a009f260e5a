// SPDX-License-Identifier: Apache-2.0
#include "vmm/kernel_cache/cache_entry.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <type_traits>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/image/refuse.h"
#include "vmm/kernel_cache/content_sum.h"
#include "vmm/kernel_cache/file_times.h"

namespace mayfly {

namespace {

/// Changes with the entries' form, and with what unpacking yields.
constexpr std::array<char, 16> kMagic{'m', 'a', 'y', 'f', 'l', 'y', ' ', 'k',
                                      'e', 'r', 'n', 'e', 'l', ' ', '1', '\n'};
/// Summed, read and written at a time: it stays in a core's second cache.
constexpr u64 kChunk = KiB(256);
constexpr u64 kSampleBytes = KiB(1);
constexpr u64 kDayNs = 86'400'000'000'000;
constexpr int kTriesMax = 4;

struct Trailer {
    std::array<char, 16> magic = kMagic;
    KernelKey key;
    u64 unpacked_bytes = 0;
    u64 elf_sum = 0;
    u64 own_sum = 0;  ///< of what is before it
};
static_assert(std::has_unique_object_representations_v<Trailer>);

u64 sum_of(const Trailer& trailer) {
    return content_sum(0, std::as_bytes(std::span(&trailer, 1)).first(offsetof(Trailer, own_sum)));
}

std::string entry_name(const KernelKey& key) {
    return fmt::format("{:x}-{:x}{}", key.device, key.inode, kEntrySuffix);
}

Result<void> read_all(const UniqueFd& file, u64 offset_bytes, std::span<std::byte> out) {
    while (!out.empty()) {
        const ssize_t got = ::pread(file.get(), out.data(), out.size(), static_cast<off_t>(offset_bytes));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(Error::os("read"));
        if (got == 0) return refuse("it shrank while it was read");
        offset_bytes += static_cast<u64>(got);
        out = out.subspan(static_cast<std::size_t>(got));
    }
    return {};
}

Result<void> write_all(const UniqueFd& file, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t put = ::write(file.get(), bytes.data(), bytes.size());
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return fail(Error::os("write"));
        bytes = bytes.subspan(static_cast<std::size_t>(put));
    }
    return {};
}

Result<void> check_elf(const UniqueFd& file, const Trailer& trailer) {
    std::vector<std::byte> chunk(kChunk);
    u64 sum = 0;
    for (u64 at = 0; at < trailer.unpacked_bytes; at += kChunk) {
        const auto piece = std::span(chunk).first(std::min(kChunk, trailer.unpacked_bytes - at));
        TRY_VOID(read_all(file, at, piece));
        sum = content_sum(sum, piece);
    }
    if (sum != trailer.elf_sum)
        return refuse("it is corrupt: its sum is {:x}, not {:x}", sum, trailer.elf_sum);
    return {};
}

/// The time of the last change says when the entry was used, to about a day, and whether it was read whole
/// since the host was started: until then its pages come from a disk that may have missed some.
Result<void> check_use(const UniqueFd& file, const Trailer& trailer, u64 used_ns) {
    const u64 now = now_ns();
    const bool is_checked = used_ns >= host_start_ns() && used_ns <= now;
    if (is_checked && now - used_ns < kDayNs) return {};
    if (!is_checked) TRY_VOID(check_elf(file, trailer));
    // Where this cannot be written, the next use reads it whole again.
    (void)::futimens(file.get(), nullptr);
    return {};
}

Result<Trailer> read_trailer(const UniqueFd& file, u64 file_bytes) {
    Trailer trailer;
    if (file_bytes < sizeof(trailer)) return refuse("it has {} bytes, too few for a trailer", file_bytes);
    TRY_VOID(read_all(file, file_bytes - sizeof(trailer), std::as_writable_bytes(std::span(&trailer, 1))));
    if (trailer.magic != kMagic || trailer.own_sum != sum_of(trailer) ||
        trailer.unpacked_bytes != file_bytes - sizeof(trailer))
        return refuse("it does not end in the trailer of {} bytes", file_bytes);
    return trailer;
}

Result<Image> open_entry(UniqueFd file, const PackedKernel& kernel) {
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) return fail(Error::os("fstat"));
    if (!S_ISREG(status.st_mode)) return refuse("is no regular file");
    TRY_VOID(check_ours(status));
    const Trailer trailer = TRY(read_trailer(file, static_cast<u64>(status.st_size)));
    if (trailer.key != kernel.key || trailer.unpacked_bytes != kernel.unpacked_bytes)
        return fail(Error::not_found("it is of an earlier kernel"));
    TRY_VOID(check_use(file, trailer, time_ns(status.st_mtim)));
    return Image::from_file_part("the unpacked kernel", std::move(file), trailer.unpacked_bytes);
}

/// A file of the directory that nobody else sees until it has its name.
struct NewFile {
    UniqueFd fd;
    std::string path;  ///< what publish() makes a link to
    bool is_named = false;
};

Result<NewFile> create_file(const UniqueFd& directory) {
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
    if (!file.fd.valid()) return fail(Error::os("create"));
    return file;
}

Result<void> write_entry(const UniqueFd& file, const PackedKernel& kernel, std::span<const std::byte> elf) {
    Trailer trailer{.key = kernel.key, .unpacked_bytes = elf.size()};
    for (u64 at = 0; at < elf.size(); at += kChunk) {
        const auto piece = elf.subspan(at, std::min(kChunk, elf.size() - at));
        trailer.elf_sum = content_sum(trailer.elf_sum, piece);
        TRY_VOID(write_all(file, piece));
    }
    trailer.own_sum = sum_of(trailer);
    return write_all(file, std::as_bytes(std::span(&trailer, 1)));
}

Result<void> publish(const UniqueFd& directory, const NewFile& file, const std::string& name) {
    if (file.is_named) {
        if (::renameat(directory.get(), file.path.c_str(), directory.get(), name.c_str()) == 0) return {};
        return fail(Error::os("rename"));
    }
    // A link does not replace: a reader in between finds nothing, which is well, and so may another writer.
    for (int tries = 0; tries < kTriesMax; ++tries) {
        if (::linkat(AT_FDCWD, file.path.c_str(), directory.get(), name.c_str(), AT_SYMLINK_FOLLOW) == 0)
            return {};
        if (errno != EEXIST) break;
        if (::unlinkat(directory.get(), name.c_str(), 0) != 0 && errno != ENOENT)
            return fail(Error::os("unlink"));
    }
    return fail(Error::os("link"));
}

}  // namespace

Result<PackedKernel> identify(const Image& kernel, const BzImage& bz, u64 settling_ns) {
    PackedKernel packed;
    // Before the first byte is read, so that what changes while we read belongs to times that are gone.
    struct stat status {};
    if (::fstat(kernel.file()->get(), &status) != 0) return fail(Error::os("fstat"));
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
        TRY_VOID(kernel.read(bz.payload_offset_bytes + at, sample));
        packed.key.payload_sum = content_sum(packed.key.payload_sum, sample);
    }
    u32 claimed_bytes = 0;  // Linux scripts/Makefile.lib "size_append"
    std::memcpy(&claimed_bytes, sample.data() + sample.size() - sizeof(claimed_bytes), sizeof(claimed_bytes));
    packed.unpacked_bytes = claimed_bytes;
    return packed;
}

Result<Image> find_entry(const UniqueFd& directory, const PackedKernel& kernel) {
    const std::string name = entry_name(kernel.key);
    UniqueFd file = UniqueFd::adopt(
        ::openat(directory.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!file.valid() && errno == ENOENT) return fail(Error::not_found("no entry"));
    if (!file.valid() && errno == ELOOP) return about<Image>(refuse("is a symbolic link"), name);
    if (!file.valid()) return fail(Error::os("open").about(name));
    return about(open_entry(std::move(file), kernel), name);
}

Result<void> store_entry(const UniqueFd& directory, const PackedKernel& kernel,
                         std::span<const std::byte> elf, const CacheLimits& limits) {
    const std::string name = entry_name(kernel.key);
    const u64 file_bytes = elf.size() + sizeof(Trailer);
    // Asked for, because a write beyond it would end the process by SIGXFSZ.
    struct rlimit limit {};
    if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && file_bytes > limit.rlim_cur)
        return refuse("it takes {} bytes, and files may have {} (ulimit -f)", file_bytes, limit.rlim_cur);
    TRY_VOID(make_room(directory, name, file_bytes, limits));
    const NewFile file = TRY(create_file(directory));
    Result<void> done = write_entry(file.fd, kernel, elf);
    if (done) done = publish(directory, file, name);
    if (!done && file.is_named) ::unlinkat(directory.get(), file.path.c_str(), 0);
    return done;
}

}  // namespace mayfly
