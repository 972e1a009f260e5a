// SPDX-License-Identifier: Apache-2.0
#include "vmm/storage/disk_open.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <time.h>

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <fmt/format.h>

#include "vmm/os/text_file.h"
#include "vmm/storage/image_format.h"
#include "vmm/storage/lock_holder.h"

namespace mayfly {

namespace {

constexpr u64 kSectorBytes = 512;
/// The default for a file: what today's file systems and drives prefer.
constexpr u32 kBlockBytes = 4096;
/// A lock outlives its owner for a moment: the kernel ends the io_uring of a killed process in the
/// background. And udev locks a block device for a moment after it was closed.
constexpr int kLockAttempts = 20;
constexpr timespec kLockPause{.tv_sec = 0, .tv_nsec = 5'000'000};

Result<UniqueFd> open_file(const DiskOptions& options, int more_flags) {
    const int access = options.is_read_only ? O_RDONLY : O_RDWR;
    UniqueFd fd = UniqueFd::adopt(::open(options.path.c_str(), access | O_CLOEXEC | more_flags));
    if (fd.valid()) return fd;
    const int error = errno;
    if (error == EISDIR) return fail(Error::invalid("is a directory, not a disk image").about(options.path));
    if (error == ENOENT)
        return fail(Error::invalid("no such file")
                        .about(options.path)
                        .hint(fmt::format("truncate -s 1G {}", options.path)));
    const bool may_not_write = error == EROFS || error == EACCES || error == EPERM || error == ETXTBSY;
    if (may_not_write && !options.is_read_only)
        return fail(Error::os("open for writing", error)
                        .about(options.path)
                        .hint("a disk that is only read: add ,ro; whose changes are "
                              "dropped: ,overlay"));
    return fail(Error::os("open", error).about(options.path));
}

Result<void> check_kind(const struct stat& status, const std::string& path) {
    const char* what = nullptr;
    if (S_ISDIR(status.st_mode)) what = "is a directory, not a disk image";
    if (S_ISFIFO(status.st_mode)) what = "is a pipe, not a disk image";
    if (S_ISCHR(status.st_mode)) what = "is a character device; a disk is a file or a block device";
    if (S_ISSOCK(status.st_mode)) what = "is a socket, not a disk image";
    if (what != nullptr) return fail(Error::invalid(what).about(path));
    return {};
}

Result<void> check_size(u64 size_bytes, const std::string& path) {
    if (size_bytes == 0)
        return fail(Error::invalid("is empty").about(path).hint(fmt::format("truncate -s 1G {}", path)));
    if (size_bytes % kSectorBytes != 0)
        return fail(Error::invalid(
                        fmt::format("its size of {} bytes is not a multiple of {}", size_bytes, kSectorBytes))
                        .about(path)
                        .hint(fmt::format("truncate -s %{} {}", kSectorBytes, path)));
    return {};
}

/// An image's own headers are not a disk, and a guest that took them for one would break the image.
Result<void> check_format(const UniqueFd& fd, u64 size_bytes, const std::string& path) {
    const ImageFormat format = find_image_format(fd, size_bytes);
    if (format.name.empty()) return {};
    return fail(Error::invalid(fmt::format("is a {} image, and a disk is raw", format.name))
                    .about(path)
                    .hint(conversion_command(format.qemu_name, path) +
                          "; where a guest wrote on a raw disk what looks like one: add ,format=raw"));
}

Result<void> lock(const UniqueFd& fd, const DiskOptions& options) {
    const int how = (options.is_read_only ? LOCK_SH : LOCK_EX) | LOCK_NB;
    for (int attempt = 1; ::flock(fd.get(), how) != 0; ++attempt) {
        if (errno == EINTR) continue;
        // A file system that cannot lock protects nobody; its files are used all the same.
        if (errno != EWOULDBLOCK) return {};
        if (attempt >= kLockAttempts)
            return fail(Error::invalid("is in use by " + lock_holder(fd))
                            .about(options.path)
                            .hint(options.is_read_only ? "another process writes to it"
                                                       : "only disks that are ,ro or ,overlay "
                                                         "can be shared"));
        ::nanosleep(&kLockPause, nullptr);
    }
    return {};
}

/// Of the block device's queue; a partition has its disk's queue. 0 where it is unknown.
u64 queue_limit(dev_t device, const char* name) {
    const std::string base = fmt::format("/sys/dev/block/{}:{}/", major(device), minor(device));
    std::string text = read_text_file((base + "queue/" + name).c_str());
    if (text.empty()) text = read_text_file((base + "../queue/" + name).c_str());
    return std::strtoull(text.c_str(), nullptr, 10);
}

Result<void> measure_device(OpenDisk& disk, dev_t device, const std::string& path) {
    BlockGeometry& geometry = disk.geometry;
    const int fd = disk.buffered.get();
    if (::ioctl(fd, BLKGETSIZE64, &geometry.size_bytes) != 0)
        return fail(Error::os("BLKGETSIZE64").about(path));
    int logical = 0;
    unsigned physical = 0;
    if (::ioctl(fd, BLKSSZGET, &logical) == 0 && logical > 0)
        geometry.logical_block_bytes = static_cast<u32>(logical);
    if (::ioctl(fd, BLKPBSZGET, &physical) == 0 && physical > 0) geometry.physical_block_bytes = physical;
    const bool may_write = !geometry.is_read_only;
    geometry.can_write_zeroes = may_write;
    geometry.can_discard = may_write && queue_limit(device, "discard_max_bytes") != 0;
    geometry.discard_alignment_bytes = static_cast<u32>(queue_limit(device, "discard_granularity"));
    return {};
}

void measure_file(OpenDisk& disk, const struct stat& status) {
    BlockGeometry& geometry = disk.geometry;
    geometry.size_bytes = static_cast<u64>(status.st_size);
    geometry.physical_block_bytes = kBlockBytes;
    // A file system without holes makes a discard a no-op, and write zeroes a write: both still work.
    geometry.can_discard = !geometry.is_read_only;
    geometry.can_write_zeroes = !geometry.is_read_only;
    const auto block_bytes = static_cast<u64>(status.st_blksize);
    const bool is_sane =
        std::has_single_bit(block_bytes) && block_bytes >= kSectorBytes && block_bytes <= KiB(64);
    geometry.discard_alignment_bytes = is_sane ? static_cast<u32>(block_bytes) : kBlockBytes;
}

Error no_direct(const std::string& path) {
    return Error::invalid("its file system cannot do O_DIRECT").about(path).hint("leave out ,direct");
}

/// The alignment that O_DIRECT needs. man statx(2), STATX_DIOALIGN: since Linux 6.1.
Result<void> measure_direct(OpenDisk& disk, bool is_block_device, const std::string& path) {
    const u32 assumed = is_block_device ? disk.geometry.logical_block_bytes : kBlockBytes;
    disk.direct_memory_alignment = assumed;
    disk.direct_offset_alignment = assumed;
#ifdef STATX_DIOALIGN
    struct statx found {};
    if (::statx(disk.direct.get(), "", AT_EMPTY_PATH, STATX_DIOALIGN, &found) == 0 &&
        (found.stx_mask & STATX_DIOALIGN) != 0) {
        if (found.stx_dio_offset_align == 0) return fail(no_direct(path));
        disk.direct_memory_alignment = std::max<u32>(found.stx_dio_mem_align, 1);
        disk.direct_offset_alignment = found.stx_dio_offset_align;
    }
#else
    (void)path;
#endif
    // The guest reads this block size, so that its requests are aligned; unless the disk's size is not a
    // multiple.
    const u32 alignment = disk.direct_offset_alignment;
    if (alignment > disk.geometry.logical_block_bytes && disk.geometry.size_bytes % alignment == 0)
        disk.geometry.logical_block_bytes = alignment;
    return {};
}

Result<void> open_direct(OpenDisk& disk, const struct stat& status, const DiskOptions& options) {
    auto direct = open_file(options, O_DIRECT | O_NONBLOCK);
    if (!direct && direct.error().os_errno() == EINVAL) return fail(no_direct(options.path));
    disk.direct = TRY(std::move(direct));
    struct stat again {};
    if (::fstat(disk.direct.get(), &again) != 0 || again.st_dev != status.st_dev ||
        again.st_ino != status.st_ino)
        return fail(Error::invalid("was replaced by another file just now").about(options.path));
    return measure_direct(disk, S_ISBLK(status.st_mode), options.path);
}

/// O_NONBLOCK was for opening a pipe without waiting; on a file it would keep io_uring from waiting.
Result<void> make_blocking(const UniqueFd& fd, const std::string& path) {
    if (!fd.valid()) return {};
    const int flags = ::fcntl(fd.get(), F_GETFL);
    if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags & ~O_NONBLOCK) < 0)
        return fail(Error::os("fcntl").about(path));
    return {};
}

}  // namespace

Result<OpenDisk> open_disk(const DiskOptions& options) {
    OpenDisk disk;
    disk.buffered = TRY(open_file(options, O_NONBLOCK));
    struct stat status {};
    if (::fstat(disk.buffered.get(), &status) != 0) return fail(Error::os("fstat").about(options.path));
    TRY_VOID(check_kind(status, options.path));
    const bool is_block_device = S_ISBLK(status.st_mode);
    TRY_VOID(lock(disk.buffered, options));
    disk.geometry.is_read_only = options.is_read_only;
    if (is_block_device)
        TRY_VOID(measure_device(disk, status.st_rdev, options.path));
    else
        measure_file(disk, status);
    if (!options.is_surely_raw) TRY_VOID(check_format(disk.buffered, disk.geometry.size_bytes, options.path));
    TRY_VOID(check_size(disk.geometry.size_bytes, options.path));
    if (options.is_direct) TRY_VOID(open_direct(disk, status, options));
    TRY_VOID(make_blocking(disk.buffered, options.path));
    TRY_VOID(make_blocking(disk.direct, options.path));
    const BlockGeometry& geometry = disk.geometry;
    disk.geometry.physical_block_bytes =
        std::max(geometry.physical_block_bytes, geometry.logical_block_bytes);
    return disk;
}

}  // namespace mayfly
