// SPDX-License-Identifier: Apache-2.0
// The header that a Multiboot 2 kernel carries: search and tags.
//
// Spec: Multiboot2 Specification 2.0.
// Thread: one thread, before any vCPU runs.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "vmm/error/result.h"

namespace mayfly {

/// A header with a sound checksum; its tags are not read yet.
struct Multiboot2Header {
    u64 offset_bytes = 0;          ///< in the file
    u64 searched_bytes = 0;        ///< of the file; the header may claim to extend further
    std::vector<std::byte> bytes;  ///< the header, as far as it was searched
};

/// `start` is the first 32 KiB of a file, or all of it. Empty without an i386 header with a sound checksum.
[[nodiscard]] std::optional<Multiboot2Header> find_multiboot2(std::span<const std::byte> start);

/// The requests in the header's tags.
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

/// Errors: Invalid, by name, for a malformed tag, or a required tag that mayfly cannot fulfil.
Result<Multiboot2Wishes> read_multiboot2_tags(const Multiboot2Header& found);

}  // namespace mayfly
