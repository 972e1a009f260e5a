// SPDX-License-Identifier: Apache-2.0
#include "firmware/image/image.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/image/refuse.h"
#include "vmm/error/verify.h"

namespace mayfly {

namespace {

/// No signal ends a read of a regular file: a stop is checked after each piece of this size.
constexpr u64 kPieceBytes = MiB(16);

Result<void> read_file(const UniqueFd& fd, u64 offset_bytes, void* out, u64 size_bytes, StopToken stop) {
    auto* next = static_cast<std::byte*>(out);
    u64 done = 0;
    while (done < size_bytes) {
        TRY_VOID(stop.check());
        const ssize_t got = ::pread(fd.get(), next + done, std::min(size_bytes - done, kPieceBytes),
                                    static_cast<off_t>(offset_bytes + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(Error::os("read"));
        if (got == 0)
            return refuse("the file shrank while it was read: nothing at byte {}", offset_bytes + done);
        done += static_cast<u64>(got);
    }
    return {};
}

const char* unusable_kind(mode_t mode) {
    if (S_ISDIR(mode)) return "a directory";
    if (S_ISFIFO(mode)) return "a pipe";
    if (S_ISSOCK(mode)) return "a socket";
    return "a device";
}

}  // namespace

Result<Image> Image::open(const std::string& path, StopToken stop) {
    // O_NONBLOCK: a FIFO must be refused, not waited for. It has no effect on regular files.
    const int raw = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (raw < 0 && (errno == ENOENT || errno == ENOTDIR))
        return fail(Error::not_found("no such file").about(path));
    if (raw < 0) return fail(Error::os("open").about(path));
    return from_fd(path, UniqueFd::adopt(raw), stop);
}

Result<Image> Image::from_fd(std::string name, UniqueFd fd, StopToken stop) {
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) return fail(Error::os("fstat").about(name));
    if (!S_ISREG(status.st_mode))
        return about<Image>(refuse("is {}, not a file", unusable_kind(status.st_mode)), name);
    if (status.st_size <= 0) return about<Image>(refuse("the file is empty"), name);
    return Image(std::move(name), static_cast<u64>(status.st_size), File{std::move(fd)}, stop);
}

Image Image::from_file_part(std::string name, UniqueFd fd, u64 size_bytes, StopToken stop) {
    return Image(std::move(name), size_bytes, File{std::move(fd)}, stop);
}

Image Image::from_bytes(std::string name, std::span<const std::byte> bytes) {
    return Image(std::move(name), bytes.size(), Bytes{bytes});
}

Image Image::from_mapping(std::string name, Mapping mapping, u64 size_bytes, StopToken stop) {
    VERIFY(size_bytes <= mapping.size_bytes());
    return Image(std::move(name), size_bytes, Unpacked{std::move(mapping)}, stop);
}

const UniqueFd* Image::file() const {
    const auto* file = std::get_if<File>(&source_);
    return file != nullptr ? &file->fd : nullptr;
}

Result<void> Image::check(u64 offset_bytes, u64 size_bytes) const {
    if (offset_bytes > size_bytes_ || size_bytes > size_bytes_ - offset_bytes)
        return refuse("truncated: {} bytes at byte {} are needed, the file has {}", size_bytes, offset_bytes,
                      size_bytes_);
    if (const auto* unpacked = std::get_if<Unpacked>(&source_)) {
        for (const Range& moved : unpacked->moved) {
            const bool is_apart = offset_bytes >= moved.offset_bytes + moved.size_bytes ||
                                  moved.offset_bytes >= offset_bytes + size_bytes;
            if (!is_apart)
                return refuse("{} bytes at byte {} of the unpacked kernel are used twice", size_bytes,
                              offset_bytes);
        }
    }
    return {};
}

std::span<const std::byte> Image::resident(u64 offset_bytes, u64 size_bytes) const {
    if (const auto* held = std::get_if<Bytes>(&source_)) return held->bytes.subspan(offset_bytes, size_bytes);
    if (const auto* unpacked = std::get_if<Unpacked>(&source_))
        return unpacked->mapping.bytes().subspan(offset_bytes, size_bytes);
    return {};
}

Result<void> Image::read(u64 offset_bytes, std::span<std::byte> out) const {
    TRY_VOID(check(offset_bytes, out.size()));
    if (out.empty()) return {};
    if (const auto* file = std::get_if<File>(&source_))
        return read_file(file->fd, offset_bytes, out.data(), out.size(), stop_);
    std::memcpy(out.data(), resident(offset_bytes, out.size()).data(), out.size());
    return {};
}

Result<ImageBytes> Image::bytes(u64 offset_bytes, u64 size_bytes) const {
    TRY_VOID(check(offset_bytes, size_bytes));
    if (size_bytes == 0) return ImageBytes{};
    const auto* file = std::get_if<File>(&source_);
    if (file == nullptr) return ImageBytes{Mapping(), resident(offset_bytes, size_bytes)};
    const bool is_large = size_bytes >= MiB(2);
    Mapping copy = TRY(Mapping::anonymous(size_bytes, is_large ? MiB(2) : kPageBytes));
    // Every page will be written, so fewer and larger faults; a host without huge pages ignores the advice.
    if (is_large) (void)::madvise(copy.data(), size_bytes, MADV_HUGEPAGE);
    TRY_VOID(read_file(file->fd, offset_bytes, copy.data(), size_bytes, stop_));
    const std::span<const std::byte> view = copy.bytes().first(size_bytes);
    return ImageBytes{std::move(copy), view};
}

Result<void> Image::copy_to(GuestRam& ram, Gpa at, u64 offset_bytes, u64 size_bytes) const {
    if (size_bytes == 0) return {};
    if (const auto* file = std::get_if<File>(&source_)) {
        const std::optional<GuestSpan> target = ram.memory().span(at, size_bytes);
        VERIFY(target.has_value());
        return read_file(file->fd, offset_bytes, target->host_base, size_bytes, stop_);
    }
    for (u64 done = 0; done < size_bytes; done += kPieceBytes) {
        TRY_VOID(stop_.check());
        const u64 piece_bytes = std::min(size_bytes - done, kPieceBytes);
        VERIFY(ram.memory().write(at + done, resident(offset_bytes + done, piece_bytes)) == MemStatus::Ok);
    }
    return {};
}

Result<void> Image::place_pages(GuestRam& ram, Gpa at, u64 offset_bytes, u64 size_bytes) const {
    if (size_bytes == 0) return {};
    if (const auto* file = std::get_if<File>(&source_))
        return ram.map_file(at, file->fd, offset_bytes, size_bytes);
    const auto& unpacked = std::get<Unpacked>(source_);
    std::byte* from = unpacked.mapping.data() + offset_bytes;
    TRY_VOID(ram.move_pages(at, from, size_bytes));
    unpacked.moved.push_back({offset_bytes, size_bytes});
    // The hole is filled again at once: the mapping unmaps its whole range at destruction, and must not unmap
    // another mapping made there in between.
    void* refilled = ::mmap(from, size_bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    if (refilled == MAP_FAILED) return fail(Error::os("mmap"));
    return {};
}

Result<void> Image::place(GuestRam& ram, Gpa at, u64 offset_bytes, u64 size_bytes) const {
    TRY_VOID(check(offset_bytes, size_bytes));
    const bool is_congruent = (at.value - offset_bytes) % kPageBytes == 0;
    const bool is_bytes = std::holds_alternative<Bytes>(source_);
    if (is_bytes || !is_congruent || size_bytes < kPlaceByPageMin)
        return copy_to(ram, at, offset_bytes, size_bytes);
    const u64 head = align_up(offset_bytes, kPageBytes) - offset_bytes;
    const u64 pages = align_down(size_bytes - head, kPageBytes);
    const u64 tail = size_bytes - head - pages;
    // The tail is copied, not mapped: the rest of its page in the file is not for the guest, and the rest in
    // guest RAM must stay zero.
    TRY_VOID(copy_to(ram, at, offset_bytes, head));
    TRY_VOID(copy_to(ram, at + head + pages, offset_bytes + head + pages, tail));
    return place_pages(ram, at + head, offset_bytes + head, pages);
}

}  // namespace mayfly
