// SPDX-License-Identifier: Apache-2.0
// The pages that a Linux kernel writes, according to its sections: its text, which it patches while it starts
// (ftrace, alternatives, static calls, return thunks), its data, and its .bss.
//
// Sections are hints: wrong or missing ones only cost time.
// Thread: one thread, before any vCPU runs.
#pragma once

#include <vector>

#include "firmware/boot/elf_kernel.h"

namespace mayfly {

/// Whole pages of a segment's file bytes.
struct WrittenPages {
    Gpa at;
    u64 size_bytes;
    bool is_read_first;  ///< run or read before it is written; else only written, or zeros
};

/// Of at most 64 MiB, in the order of the sections. Padding between text's last byte and what follows it is
/// not among them.
[[nodiscard]] std::vector<WrittenPages> find_written_pages(const ElfImage& vmlinux, u64 shift_bytes);

}  // namespace mayfly
