// SPDX-License-Identifier: Apache-2.0
// PrintkRing: the place of a Linux kernel's log, found in its vmlinux without symbols.
//
// The static ring buffer of printk begins with sizes, pointers and counters that nothing else in the kernel's
// data resembles (kernel/printk/printk_ringbuffer.h). The layout is that of Linux 5.18 and later, seen in 6.1
// and 6.12; any other is not recognised. A hint, never a proof: the bytes read there later are a guest's.
// Thread: one thread, before any vCPU runs.
#pragma once

#include <optional>

#include "firmware/boot/elf_kernel.h"

namespace mayfly {

struct PrintkRing {
    static constexpr u64 kDescriptorBytes = 24;
    static constexpr u64 kInfoBytes = 88;

    Gpa head_id;      ///< of the newest record
    Gpa descriptors;  ///< 1 << count_bits of them
    Gpa infos;        ///< as many
    Gpa text;         ///< 1 << text_bits bytes
    u32 count_bits = 0;
    u32 text_bits = 0;
    u64 first_id = 0;  ///< of the first record ever
};

/// Empty where the kernel lacks a section .data, or a recognised ring in it.
[[nodiscard]] std::optional<PrintkRing> find_printk_ring(const ElfImage& vmlinux);

}  // namespace mayfly
