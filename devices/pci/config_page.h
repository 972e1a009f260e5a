// SPDX-License-Identifier: Apache-2.0
// A page that a guest may read as memory while we change it: words are loaded and stored whole.
//
// Not guest RAM (GuestMemory): the guest cannot write here, its writes trap.
// Thread: any; a word that two threads change needs its owner's lock.
#pragma once

#include <cstddef>
#include <span>

#include "vmm/error/ints.h"
#include "vmm/error/verify.h"

namespace mayfly {

constexpr std::size_t kConfigPageBytes = 4096;
using ConfigPage = std::span<std::byte, kConfigPageBytes>;

/// Atomic and ordered after what was stored before. `offset` is a multiple of sizeof(T) and inside (VERIFY).
template <typename T>
void store_word(std::span<std::byte> memory, std::size_t offset, T value) {
    using Word [[gnu::may_alias]] = T;
    // no guest: offsets are registers' own, entries of MSI-X vectors that were compared with their count, or
    // dwords of a space that Ecam and ConfigPorts keep accesses inside of.
    VERIFY(offset % sizeof(T) == 0 && offset < memory.size() && sizeof(T) <= memory.size() - offset);
    // SAFETY: inside and aligned by the check and because memory begins on a page or on an MSI-X entry;
    // may_alias permits any type's bytes.
    __atomic_store_n(reinterpret_cast<Word*>(memory.data() + offset), value, __ATOMIC_RELEASE);
}

/// As store_word.
template <typename T>
[[nodiscard]] T load_word(std::span<const std::byte> memory, std::size_t offset) {
    using Word [[gnu::may_alias]] = const T;
    // no guest: as in store_word; load_bytes compares each byte first.
    VERIFY(offset % sizeof(T) == 0 && offset < memory.size() && sizeof(T) <= memory.size() - offset);
    // SAFETY: as in store_word.
    return __atomic_load_n(reinterpret_cast<Word*>(memory.data() + offset), __ATOMIC_ACQUIRE);
}

/// The value of a plain read of 1 to 8 bytes at any alignment; bytes beyond the end read as ones.
[[nodiscard]] inline u64 load_bytes(std::span<const std::byte> memory, u64 offset, u8 size_bytes) {
    u64 value = 0;
    for (unsigned i = 0; i < size_bytes; ++i) {
        const bool is_inside = offset < memory.size() && i < memory.size() - offset;
        const u8 byte = is_inside ? load_word<u8>(memory, static_cast<std::size_t>(offset) + i) : u8{0xff};
        value |= u64{byte} << (8 * i);
    }
    return value;
}

}  // namespace mayfly
