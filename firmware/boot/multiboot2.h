// SPDX-License-Identifier: Apache-2.0
// Multiboot 2: header search and tags, loading by ELF or by address tag, relocation, and the information
// tags.
//
// Spec: Multiboot2 Specification 2.0.
// Thread: one thread, before any vCPU runs.
#pragma once

#include <optional>
#include <span>

#include "firmware/boot/boot.h"

namespace mayfly {

/// The offset of the header in `start`, the first 32 KiB of a file, or all of it. Empty when there is no i386
/// header with a sound checksum.
[[nodiscard]] std::optional<u64> find_multiboot2(std::span<const std::byte> start);

/// What the header's tags ask for.
struct Multiboot2Wishes {
    struct Addresses {
        u32 header_addr, load_addr, load_end_addr, bss_end_addr;
    };
    struct Relocation {
        u32 min_addr, max_addr, align, preference;
    };
    std::optional<Addresses> addresses;
    std::optional<u32> entry_addr;
    std::optional<Relocation> relocation;
};

/// Reads the tags of the header at `offset_bytes` of `start`. Errors: Invalid for a malformed tag, or one
/// that is required and asks for what mayfly does not have; by name.
Result<Multiboot2Wishes> read_multiboot2_tags(std::span<const std::byte> start, u64 offset_bytes);

/// Errors: Invalid, as load_guest(); also for a requirement of the kernel that mayfly does not meet.
Result<EntryState> load_multiboot2(const Image& kernel, const BootRequest& request, GuestRam& ram,
                                   const MemoryMap& map);

}  // namespace mayfly
