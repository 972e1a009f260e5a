// SPDX-License-Identifier: Apache-2.0
// The ring in which KVM collects writes that need no immediate answer.
//
// Each VM has one, filled under a lock of the kernel's. Thread: one at a time, which the caller ensures.
// Spec: KVM api.rst "KVM_CAP_COALESCED_MMIO".
#pragma once

#include <cstring>

#include <linux/kvm.h>

#include "vmm/error/ints.h"

namespace mayfly {

/// Calls `deliver` for each write, the oldest first, and frees its place after that. `ring` may be null.
/// \returns how many writes it delivered.
template <typename Deliver>
std::size_t drain_coalesced_writes(kvm_coalesced_mmio_ring* ring, Deliver deliver) {
    if (ring == nullptr) return 0;
    constexpr std::size_t kRingBytes = 4096;
    constexpr std::size_t kEntries = (kRingBytes - sizeof(u32) * 2) / sizeof(kvm_coalesced_mmio);
    std::size_t count = 0;
    u32 first = ring->first;
    // Pairs with the kernel's release of `last` after it wrote the entry.
    // One ringful: processors that go on writing must not keep us here.
    while (count < kEntries && first < kEntries && first != __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE)) {
        kvm_coalesced_mmio entry;
        std::memcpy(&entry, reinterpret_cast<const std::byte*>(ring) + sizeof(u32) * 2 + first * sizeof entry,
                    sizeof entry);  // SAFETY: first < kEntries, so the entry lies inside the ring's page
        first = static_cast<u32>((first + 1) % kEntries);
        deliver(entry);
        ++count;
        __atomic_store_n(&ring->first, first, __ATOMIC_RELEASE);
    }
    return count;
}

}  // namespace mayfly
