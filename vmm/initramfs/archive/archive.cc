// SPDX-License-Identifier: Apache-2.0
#include "vmm/initramfs/archive/archive.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "firmware/image/refuse.h"
#include "vmm/error/verify.h"
#include "vmm/text/size.h"

namespace mayfly {

namespace {

constexpr u64 kBufferBytes = KiB(256);
/// Above this, moving pages within the kernel is cheaper than through the buffer.
constexpr u64 kSmallFileMax = KiB(64);
/// Of a large file, between two checks for a stop: no signal ends a copy within the kernel.
constexpr u64 kPieceBytes = MiB(16);
/// The magic and 13 fields of 8 hexadecimal digits.
constexpr u64 kHeaderBytes = 110;
constexpr u64 kContentMax = 0xffff'ffff;
/// Linux skips entries whose name is longer, the NUL included (init/initramfs.c, PATH_MAX).
constexpr u64 kNameMax = 4096;
/// From this size on it is worth checking whether everything will fit.
constexpr u64 kForecastAt = MiB(64);
/// An initramfs always has this part of the guest's memory, however Linux divides the rest.
constexpr u64 kSurelyFits = 8;
constexpr std::string_view kMagic = "070701";
constexpr std::string_view kTrailer = "TRAILER!!!";

u64 padded(u64 size_bytes) { return align_up(size_bytes, 4); }

constexpr char kDigits[] = "0123456789ABCDEF";

std::array<char, 8> hexadecimal(u32 value) {
    std::array<char, 8> digits{};
    for (std::size_t i = digits.size(); i > 0; value >>= 4) digits[--i] = kDigits[value & 0xf];
    return digits;
}

/// Linux takes the name of the trailer for the end, whatever it is (init/initramfs.c, do_name); with a path
/// before it, it is a name like any other.
std::string archive_name(std::string_view name) {
    return name == kTrailer ? "./" + std::string(name) : std::string(name);
}

}  // namespace

u32 archive_time(const struct stat& status) {
    return static_cast<u32>(std::clamp<i64>(status.st_mtim.tv_sec, 0, kContentMax));
}

u64 entry_bytes(std::string_view name, u64 content_bytes) {
    return padded(kHeaderBytes + archive_name(name).size() + 1) + padded(content_bytes);
}

std::string printable(std::string_view text) {
    std::string line;
    u8 before = 0;
    for (const char c : text) {
        const auto byte = static_cast<u8>(c);
        // C1 controls, two bytes in UTF-8, include a CSI too.
        const bool is_c1 = before == 0xc2 && byte >= 0x80 && byte <= 0x9f;
        if (is_c1) line.replace(line.size() - 1, 1, "\\xc2");
        if (byte < 0x20 || byte == 0x7f || is_c1)
            line += fmt::format("\\x{:02x}", byte);
        else
            line += c;
        before = byte;
    }
    return line;
}

ArchiveWriter::ArchiveWriter(UniqueFd file, u64 bytes_max, StopToken stop)
    : file_(std::move(file)), buffer_(new std::byte[kBufferBytes]), bytes_max_(bytes_max), stop_(stop) {}

Result<ArchiveWriter> ArchiveWriter::create(u64 bytes_max, StopToken stop) {
    UniqueFd file = UniqueFd::adopt(::memfd_create("initramfs", MFD_CLOEXEC));
    if (!file.valid()) return fail(Error::os("memfd_create"));
    return ArchiveWriter(std::move(file), bytes_max, stop);
}

Result<void> ArchiveWriter::reserve(u64 bytes) {
    const u64 room = bytes_max_ - std::min(bytes_max_, size_bytes_);
    u64 total = size_bytes_ + bytes;
    if (forecast_ && (bytes > room || total >= kForecastAt)) {
        const Forecast forecast = std::exchange(forecast_, nullptr);
        const TreeBytes tree = TRY(forecast());
        TRY_VOID(check_room(tree));
        total = std::max(total, tree.archive);
    } else if (bytes <= room) {
        return {};
    }
    if (total <= bytes_max_) return {};
    return fail(Error::invalid(fmt::format("the initramfs takes {} MiB, the guest's memory has room for {}",
                                           (total >> 20) + 1, print_size(bytes_max_)))
                    .hint("give the guest more with --memory, or a smaller --root"));
}

Result<void> ArchiveWriter::check_room(const TreeBytes& tree) const {
    if (!find_room_ || tree.unpacked() < bytes_max_ / kSurelyFits) return {};
    if (std::optional<Error> error = why_too_large(find_room_(), tree)) return fail(std::move(*error));
    return {};
}

Result<void> ArchiveWriter::flush() {
    u64 done = 0;
    while (done < buffered_bytes_) {
        const ssize_t put = ::write(file_.get(), buffer_.get() + done, buffered_bytes_ - done);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return fail(Error::os("write").about("the initramfs"));
        done += static_cast<u64>(put);
    }
    buffered_bytes_ = 0;
    return {};
}

Result<void> ArchiveWriter::append(const void* data, u64 size_bytes) {
    const auto* next = static_cast<const std::byte*>(data);
    while (size_bytes > 0) {
        if (buffered_bytes_ == kBufferBytes) TRY_VOID(flush());
        const u64 now = std::min(size_bytes, kBufferBytes - buffered_bytes_);
        std::memcpy(buffer_.get() + buffered_bytes_, next, now);
        buffered_bytes_ += now;
        size_bytes_ += now;
        next += now;
        size_bytes -= now;
    }
    return {};
}

Result<void> ArchiveWriter::pad() {
    constexpr char kZeros[4] = {};
    return append(kZeros, padded(size_bytes_) - size_bytes_);
}

std::string ArchiveWriter::called(std::string_view name) const {
    return origin_ + printable(name.substr(std::min(origin_bytes_, name.size())));
}

Unexpected ArchiveWriter::unfit(std::string_view path, std::string what) const {
    return fail(Error::invalid(std::move(what)).about(called(path.substr(place_.size()))));
}

Result<void> ArchiveWriter::begin(const std::string& path, const EntryHeader& header, u64 content_bytes) {
    TRY_VOID(stop_.check());
    if (path.size() + 1 > kNameMax)
        return unfit(path.substr(0, 60) + "...",
                     fmt::format("a path of {} bytes is too long for Linux, which takes {}", path.size(),
                                 kNameMax - 1));
    if (content_bytes > kContentMax)
        return unfit(path,
                     fmt::format("a file of {} bytes is too large for an initramfs, where one may have {}",
                                 content_bytes, kContentMax));
    const u64 bytes = padded(kHeaderBytes + path.size() + 1) + padded(content_bytes);
    TRY_VOID(reserve(bytes));
    tree_bytes_.add(bytes, S_ISREG(header.mode) ? content_bytes : 0);
    ++entries_;
    // Groups count from the top, so that no other entry has their number.
    const u32 inode = header.link_group != 0 ? ~u32{0} - header.link_group : entries_;
    const u32 links = header.link_group != 0 ? 2 : 1;
    const u32 fields[] = {inode,
                          header.mode,
                          header.uid,
                          header.gid,
                          links,
                          header.mtime,
                          static_cast<u32>(content_bytes),
                          0,  // the device that holds the file: all are on one
                          0,
                          header.device_major,
                          header.device_minor,
                          static_cast<u32>(path.size() + 1),
                          0};  // a checksum, which this format lacks
    TRY_VOID(append(kMagic.data(), kMagic.size()));
    for (const u32 field : fields) {
        const std::array<char, 8> digits = hexadecimal(field);
        TRY_VOID(append(digits.data(), digits.size()));
    }
    TRY_VOID(append(path.c_str(), path.size() + 1));
    return pad();
}

Result<void> ArchiveWriter::add(std::string_view name, const EntryHeader& header,
                                std::span<const std::byte> content) {
    TRY_VOID(begin(place_ + archive_name(name), header, content.size()));
    TRY_VOID(append(content.data(), content.size()));
    return pad();
}

Result<void> ArchiveWriter::add(std::string_view name, const EntryHeader& header, std::string_view content) {
    return add(name, header, std::as_bytes(std::span(content)));
}

Result<void> ArchiveWriter::add_file(std::string_view name, const EntryHeader& header, const UniqueFd& file,
                                     u64 size_bytes) {
    TRY_VOID(begin(place_ + archive_name(name), header, size_bytes));
    const bool is_small = size_bytes <= kSmallFileMax;
    TRY_VOID(about(is_small ? copy_small(file, size_bytes) : copy_large(file, size_bytes), called(name)));
    return pad();
}

Result<void> ArchiveWriter::copy_small(const UniqueFd& file, u64 size_bytes) {
    // One byte more than there should be, so that one read both copies and finds the end.
    if (kBufferBytes - buffered_bytes_ < size_bytes + 1) TRY_VOID(flush());
    u64 done = 0;
    for (;;) {
        const ssize_t got = ::pread(file.get(), buffer_.get() + buffered_bytes_ + done, size_bytes + 1 - done,
                                    static_cast<off_t>(done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(Error::os("read"));
        if (got == 0) break;
        done += static_cast<u64>(got);
        if (done > size_bytes)
            return refuse("the file grew beyond its {} bytes while it was packed", size_bytes);
    }
    if (done < size_bytes)
        return refuse("the file shrank from {} bytes to {} while it was packed", size_bytes, done);
    buffered_bytes_ += done;
    size_bytes_ += done;
    return {};
}

Result<void> ArchiveWriter::copy_large(const UniqueFd& file, u64 size_bytes) {
    TRY_VOID(flush());
    off_t from = 0;
    bool has_sendfile = true;
    while (static_cast<u64>(from) < size_bytes) {
        TRY_VOID(stop_.check());
        const u64 left = size_bytes - static_cast<u64>(from);
        ssize_t got = 0;
        if (has_sendfile) {
            got = ::sendfile(file_.get(), file.get(), &from, std::min(left, kPieceBytes));
            // File systems without it say so at the first call.
            if (got < 0 && (errno == EINVAL || errno == ENOSYS)) {
                has_sendfile = false;
                continue;
            }
        } else {
            got = ::pread(file.get(), buffer_.get(), std::min(left, kBufferBytes), from);
            if (got > 0) {
                buffered_bytes_ = static_cast<u64>(got);
                TRY_VOID(flush());
                from += got;
            }
        }
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(Error::os("read"));
        if (got == 0)
            return refuse("the file shrank from {} bytes to {} while it was packed", size_bytes, from);
        size_bytes_ += static_cast<u64>(got);
    }
    std::byte more{};
    if (::pread(file.get(), &more, 1, from) > 0)
        return refuse("the file grew beyond its {} bytes while it was packed", size_bytes);
    return {};
}

Result<UniqueFd> ArchiveWriter::finish() {
    TRY_VOID(check_room(tree_bytes_));
    TRY_VOID(begin(std::string(kTrailer), EntryHeader{}, 0));
    TRY_VOID(flush());
    return std::move(file_);
}

}  // namespace mayfly
