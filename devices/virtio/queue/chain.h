// SPDX-License-Identifier: Apache-2.0
// Chain: one buffer that the driver made available, as checked ranges of guest RAM in host memory.
//
// The ranges are for the kernel (iovecs) and for ChainReader/ChainWriter, which copy; nothing else may
// dereference them. Thread: a value; used under its device's lock.
// Spec: virtio 1.2 §2.7 "Split Virtqueues", §2.8 "Packed Virtqueues"; §2.7.4.1 "Device Requirements: Message
// Framing": a device assumes nothing about how a request is cut into descriptors.
#pragma once

#include <optional>
#include <span>

#include <sys/uio.h>

#include "vmm/error/ints.h"
#include "vmm/memory/wire.h"

namespace mayfly {

/// The part of a chain that push() needs after the chain's memory was used.
struct ChainToken {
    u16 id = 0;                ///< split: the head's index; packed: the buffer id
    u16 descriptor_count = 0;  ///< places in the ring; an indirect table counts for one
};

struct Chain {
    ChainToken token;
    std::span<iovec> readable;  ///< device-readable, in order
    std::span<iovec> writable;  ///< device-writable, in order; behind `readable` in the same storage
    u64 readable_bytes = 0;
    u64 writable_bytes = 0;
};

/// Copies `out.size()` bytes from `offset_bytes` of `parts`. False when there are fewer; then `out` is
/// undefined.
[[nodiscard]] bool copy_from_parts(std::span<const iovec> parts, u64 offset_bytes, std::span<std::byte> out);
/// Copies `in` to `offset_bytes` of `parts`. False when there is less room; then nothing is written.
[[nodiscard]] bool copy_to_parts(std::span<const iovec> parts, u64 offset_bytes,
                                 std::span<const std::byte> in);
/// Drops the first `count_bytes` bytes in place; \returns what is left of `parts`.
[[nodiscard]] std::span<iovec> drop_front(std::span<iovec> parts, u64 count_bytes);
/// Keeps only the first `count_bytes` bytes, in place; \returns them.
[[nodiscard]] std::span<iovec> keep_front(std::span<iovec> parts, u64 count_bytes);

template <WireType T>
[[nodiscard]] std::optional<T> read_from_parts(std::span<const iovec> parts, u64 offset_bytes) {
    T value;
    if (!copy_from_parts(parts, offset_bytes, std::as_writable_bytes(std::span(&value, 1))))
        return std::nullopt;
    return value;
}

}  // namespace mayfly
