// SPDX-License-Identifier: Apache-2.0
// bzImage: the kernel file that distributions ship, and the facts of its header. bzimage_load loads it.
//
// Spec: Linux Documentation/arch/x86/boot.rst "The Real-Mode Kernel Header".
// Thread: one thread, before any vCPU runs.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "firmware/boot/header_window.h"
#include "firmware/image/decompress.h"
#include "vmm/memory/gpa.h"

namespace mayfly {

/// The setup header's facts, checked against the file's size.
struct BzImage {
    u16 version = 0;
    u64 kernel_offset_bytes = 0;  ///< of the protected-mode part, in the file
    u64 kernel_bytes = 0;
    u64 payload_offset_bytes = 0;    ///< in the file
    u64 payload_bytes = 0;           ///< 0: the header names none
    std::optional<Packing> packing;  ///< empty: an unknown kind of payload
    bool has_entry_64 = false;
    u64 command_line_max = 0;
    u64 initrd_address_max = 0;
    Gpa load_base;
    u64 init_bytes = 0;  ///< memory from load_base that the kernel uses before it reads the memory map
    std::vector<std::byte> header;  ///< for the zero page, from offset 0x1f1
};

/// `start` is the first 0x206 bytes of a file, or all of it.
[[nodiscard]] bool is_bzimage(std::span<const std::byte> start);

/// Errors: Invalid for a truncated file, a zImage, or offsets beyond the end.
Result<BzImage> read_bzimage(const HeaderWindow& window);

}  // namespace mayfly
