// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/queue/chain.h"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace mayfly {

namespace {

/// Calls `copy(host, size, done)` for each piece of [offset, offset + size). False when the parts end
/// earlier.
template <typename Copy>
bool for_pieces(std::span<const iovec> parts, u64 offset_bytes, u64 size_bytes, Copy copy) {
    u64 done = 0;
    for (const iovec& part : parts) {
        if (done == size_bytes) break;
        if (offset_bytes >= part.iov_len) {
            offset_bytes -= part.iov_len;
            continue;
        }
        const u64 piece = std::min<u64>(part.iov_len - offset_bytes, size_bytes - done);
        copy(static_cast<std::byte*>(part.iov_base) + offset_bytes, piece, done);
        done += piece;
        offset_bytes = 0;
    }
    return done == size_bytes;
}

u64 size_of(std::span<const iovec> parts) {
    u64 total = 0;
    for (const iovec& part : parts) total += part.iov_len;
    return total;
}

}  // namespace

bool copy_from_parts(std::span<const iovec> parts, u64 offset_bytes, std::span<std::byte> out) {
    // SAFETY: the parts were checked against guest RAM when the chain was popped.
    const bool is_whole =
        for_pieces(parts, offset_bytes, out.size(), [&](const std::byte* host, u64 size_bytes, u64 done) {
            std::memcpy(out.data() + done, host, size_bytes);
        });
    // The copy is what gets checked and used: keep the compiler from fetching the guest's bytes again.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return is_whole;
}

bool copy_to_parts(std::span<const iovec> parts, u64 offset_bytes, std::span<const std::byte> in) {
    const u64 room = size_of(parts);
    if (offset_bytes > room || in.size() > room - offset_bytes) return false;
    // SAFETY: as above.
    return for_pieces(parts, offset_bytes, in.size(), [&](std::byte* host, u64 size_bytes, u64 done) {
        std::memcpy(host, in.data() + done, size_bytes);
    });
}

std::span<iovec> drop_front(std::span<iovec> parts, u64 count_bytes) {
    while (!parts.empty() && count_bytes >= parts.front().iov_len) {
        count_bytes -= parts.front().iov_len;
        parts = parts.subspan(1);
    }
    if (!parts.empty()) {
        parts.front().iov_base = static_cast<std::byte*>(parts.front().iov_base) + count_bytes;
        parts.front().iov_len -= count_bytes;
    }
    return parts;
}

std::span<iovec> keep_front(std::span<iovec> parts, u64 count_bytes) {
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (count_bytes <= parts[i].iov_len) {
            parts[i].iov_len = count_bytes;
            return parts.first(count_bytes == 0 ? i : i + 1);
        }
        count_bytes -= parts[i].iov_len;
    }
    return parts;
}

}  // namespace mayfly
