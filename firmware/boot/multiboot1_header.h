// SPDX-License-Identifier: Apache-2.0
// The header that a Multiboot 1 kernel carries: search and fields.
//
// Spec: Multiboot Specification 0.6.96.
// Thread: one thread, before any vCPU runs.
#pragma once

#include <optional>
#include <span>

#include "vmm/error/ints.h"

namespace mayfly {

struct Multiboot1Header {
    struct Addresses {
        u32 header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
    };
    u64 offset_bytes = 0;  ///< in the file
    u32 flags = 0;
    /// The fields after the checksum, whatever the flags say; empty where they are not wholly within the
    /// searched range.
    std::optional<Addresses> addresses;
};

/// `start` is the first 8 KiB of a file, or more, or all of it. Empty without a header with a sound checksum.
[[nodiscard]] std::optional<Multiboot1Header> find_multiboot1(std::span<const std::byte> start);

}  // namespace mayfly
