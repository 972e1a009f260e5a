// SPDX-License-Identifier: Apache-2.0
// Where the pages of a mapped Linux kernel come from.
//
// A mapped page costs the guest an exit when it is first run or read, and another, the most expensive kind,
// when it is then written: the host unmaps the page from the guest, flushes its TLB and copies. So pages that
// Linux writes do not stay mapped. Where it fills most of 2 MiB, they are copied into a huge page, which
// costs one exit in place of 512; else its pages are copied one by one, in a handful of system calls, and
// .bss, which costs one exit either way, stays as it is. Pages that Linux only reads stay mapped, and shared
// with other guests. Thread: one thread, before any vCPU runs.
#pragma once

#include "firmware/boot/elf_kernel.h"

namespace mayfly {

/// Places the segments' file bytes, which the caller has claimed, of an image that is a file. Errors: as
/// Image::place().
Result<void> place_linux(const ElfImage& vmlinux, u64 shift_bytes, GuestRam& ram, bool has_huge_pages);

}  // namespace mayfly
