// SPDX-License-Identifier: Apache-2.0
#include "vmm/storage/file_transfer.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

#include <climits>

#include "devices/virtio/queue/chain.h"

namespace mayfly {

namespace {

constexpr std::size_t kZeroBytes = KiB(64);
constexpr std::size_t kZeroParts = 16;

/// Never written, so it takes no memory of its own. Aligned for O_DIRECT.
alignas(4096) std::array<std::byte, kZeroBytes> zeroes;

constexpr std::array<iovec, kZeroParts> make_zero_parts() {
    std::array<iovec, kZeroParts> parts{};
    for (iovec& part : parts) part = {.iov_base = zeroes.data(), .iov_len = kZeroBytes};
    return parts;
}
constexpr std::array<iovec, kZeroParts> kZeroes = make_zero_parts();

i32 write_zeroes(const UniqueFd& fd, const BlockIo& io) {
    for (u64 done = 0; done < io.size_bytes;) {
        iovec last{};
        const auto parts = zero_parts(io.size_bytes - done, last);
        const ssize_t written = ::pwritev2(fd.get(), parts.data(), static_cast<int>(parts.size()),
                                           static_cast<off_t>(io.offset_bytes + done), 0);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return -errno;
        if (written == 0) return -EIO;
        done += static_cast<u64>(written);
    }
    return 0;
}

}  // namespace

std::span<const iovec> parts_of_one_call(const BlockIo& io) {
    return io.parts.first(std::min<std::size_t>(io.parts.size(), IOV_MAX));
}

i64 transfer_once(const UniqueFd& fd, const BlockIo& io, u64 done_bytes, int rw_flags) {
    const auto parts = parts_of_one_call(io);
    const auto count = static_cast<int>(parts.size());
    const auto offset = static_cast<off_t>(io.offset_bytes + done_bytes);
    for (;;) {
        const ssize_t moved = io.kind == BlockIoKind::Read
                                  ? ::preadv2(fd.get(), parts.data(), count, offset, rw_flags)
                                  : ::pwritev2(fd.get(), parts.data(), count, offset, rw_flags);
        if (moved >= 0) return moved;
        if (errno != EINTR) return -errno;
    }
}

Transferred transfer_all(const UniqueFd& fd, BlockIo& io, u64 done_bytes, int rw_flags) {
    while (done_bytes < io.size_bytes) {
        const i64 moved = transfer_once(fd, io, done_bytes, rw_flags);
        if (moved < 0) return {static_cast<i32>(moved), done_bytes};
        if (moved == 0) return {-EIO, done_bytes};
        done_bytes += static_cast<u64>(moved);
        io.parts = drop_front(io.parts, static_cast<u64>(moved));
    }
    return {0, done_bytes};
}

int fallocate_mode(const BlockIo& io) {
    const bool may_punch = io.kind == BlockIoKind::Discard || io.may_unmap;
    return (may_punch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE) | FALLOC_FL_KEEP_SIZE;
}

i32 deallocate_now(const UniqueFd& fd, const BlockIo& io) {
    for (;;) {
        if (::fallocate(fd.get(), fallocate_mode(io), static_cast<off_t>(io.offset_bytes),
                        static_cast<off_t>(io.size_bytes)) == 0)
            return 0;
        if (errno == EINTR) continue;
        if (errno != EOPNOTSUPP) return -errno;
        return io.kind == BlockIoKind::Discard ? 0 : write_zeroes(fd, io);
    }
}

std::span<const iovec> zero_parts(u64 left_bytes, iovec& last) {
    if (left_bytes >= kZeroBytes)
        return std::span(kZeroes).first(std::min<u64>(left_bytes / kZeroBytes, kZeroParts));
    last = {.iov_base = zeroes.data(), .iov_len = static_cast<std::size_t>(left_bytes)};
    return {&last, 1};
}

}  // namespace mayfly
