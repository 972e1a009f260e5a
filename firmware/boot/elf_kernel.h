// SPDX-License-Identifier: Apache-2.0
// ELF kernels, 32 and 64 bits: headers and notes read by copy, segments placed at their physical addresses.
//
// Knows no boot protocol. Symbols, sections and relocations do not matter to a kernel that is loaded where it
// was linked, and are not looked at here; Linux's sections are kept for other code that needs them.
// Thread: one thread, before any vCPU runs.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "firmware/boot/elf_sections.h"
#include "firmware/boot/header_window.h"
#include "firmware/boot/occupancy.h"
#include "firmware/image/image.h"
#include "vmm/error/result.h"
#include "vmm/memory/guest_ram.h"

namespace mayfly {

/// A PT_LOAD whose sizes and file range were checked.
struct ElfSegment {
    u32 index = 0;  ///< in the program header table, for messages
    u64 file_offset_bytes = 0;
    u64 file_bytes = 0;
    u64 virtual_base = 0;
    Gpa base;
    u64 memory_bytes = 0;
    bool is_writable = false;
};

struct ElfKernel {
    bool is_64 = false;
    u64 entry = 0;  ///< e_entry: physical in most kernels, virtual in some
    std::vector<ElfSegment> segments;
    std::optional<u32> pvh_entry;
    bool says_linux = false;              ///< a note says that this is Linux
    std::optional<ElfSections> sections;  ///< of Linux, where it has sections: read_elf() does not set them
};

/// The ELF in a file. Null: not an ELF. An error: a bad ELF.
using MaybeElf = std::optional<Result<ElfKernel>>;

/// An ELF with its headers; both outlive the window.
struct ElfImage {
    const Image& image;
    const ElfKernel& kernel;
};

[[nodiscard]] bool is_elf(std::span<const std::byte> start);

/// Reads headers and notes. Errors: Invalid for a file that is not an x86 executable or contradicts itself.
Result<ElfKernel> read_elf(const HeaderWindow& window);

/// Null where the file is not a sound ELF kernel.
[[nodiscard]] const ElfKernel* good_elf(const MaybeElf& elf);

/// Claims every segment's memory, moved up by `shift_bytes` (which may wrap: a move down), then places the
/// file bytes. Zero-initialised memory needs no work: guest RAM is fresh. Of a Linux kernel, the pages that
/// it will write are copied at once.
Result<void> load_elf(const ElfImage& elf, u64 shift_bytes, GuestRam& ram, Occupancy& occupancy);

/// `entry` as a physical address: unchanged where that address is loaded, else translated as a virtual
/// address. Errors: Invalid when it is in no segment.
Result<u64> find_entry(const ElfKernel& kernel, u64 entry);

}  // namespace mayfly
