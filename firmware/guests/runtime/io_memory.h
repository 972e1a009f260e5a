// SPDX-License-Identifier: Apache-2.0
// Memory for rings and buffers: 4 to 16 MiB, which entry.S maps in any case. The machine needs that much.
#pragma once

#include "firmware/guests/runtime/report.h"

namespace guest::io_memory {

constexpr u64 kFirst = MiB(4);
constexpr u64 kEnd = MiB(16);

inline constinit u64 next = kFirst;

/// Takes all memory back; no device may still use any of it.
inline void release_all() { next = kFirst; }

/// Zeroed. `alignment` is a power of two. Ends the guest with a failure when none is left.
inline u64 allocate(u64 size_bytes, u64 alignment) {
    const u64 first = align_up(next, alignment);
    if (first > kEnd || size_bytes > kEnd - first) {
        fail("io memory: exhausted");
        exit_guest(failure_count());
    }
    next = first + size_bytes;
    // SAFETY: within the 16 MiB that entry.S maps, behind the image, and nobody else's until release_all().
    __builtin_memset(reinterpret_cast<void*>(first), 0, size_bytes);
    return first;
}

/// SAFETY of the caller: `address` came from allocate(), with room for T behind it.
template <typename T>
volatile T& at(u64 address) {
    return *reinterpret_cast<volatile T*>(address);
}

}  // namespace guest::io_memory
