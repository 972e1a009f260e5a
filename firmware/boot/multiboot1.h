// SPDX-License-Identifier: Apache-2.0
// Multiboot 1: header search, loading by ELF or by address fields, and the information structure.
//
// Spec: Multiboot Specification 0.6.96.
// Thread: one thread, before any vCPU runs.
#pragma once

#include <optional>
#include <span>

#include "firmware/boot/boot.h"

namespace mayfly {

struct Multiboot1Header {
    u64 offset_bytes;
    u32 flags;
};

/// `start` is the first 8 KiB of a file, or all of it. Empty when there is no header with a sound checksum.
[[nodiscard]] std::optional<Multiboot1Header> find_multiboot1(std::span<const std::byte> start);

/// Errors: Invalid, as load_guest(); also for a requirement of the kernel that mayfly does not meet.
Result<EntryState> load_multiboot1(const Image& kernel, const BootRequest& request, GuestRam& ram,
                                   const MemoryMap& map);

}  // namespace mayfly
