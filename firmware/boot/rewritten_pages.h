// SPDX-License-Identifier: Apache-2.0
// The pages of a Linux kernel that it runs or reads first and writes later: its text, which it patches while
// it starts (ftrace, alternatives, static calls, return thunks), and its data.
//
// Each such page of a mapped file costs the guest two exits, the second of them the dearest there is: the
// host unmaps the page from the guest, flushes its TLB and copies. So these pages are copied beforehand, in a
// handful of system calls. .bss, which is only written, costs one exit either way, and stays as it is.
// Thread: one thread, before any vCPU runs.
#pragma once

#include "firmware/boot/elf.h"

namespace mayfly {

/// For a kernel that load_elf has placed from a file. Sections tell which pages; what they do not tell,
/// padding and what is beyond 64 MiB comes when the guest touches it.
void populate_rewritten_pages(const Image& vmlinux, const ElfKernel& kernel, u64 shift_bytes, GuestRam& ram);

}  // namespace mayfly
