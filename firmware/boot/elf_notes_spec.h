// SPDX-License-Identifier: Apache-2.0
// The notes by which a kernel identifies itself. ELF itself is in <elf.h>.
// Spec: of Xen, the PVH boot protocol's xen/include/public/elfnote.h; of Linux, include/linux/elfnote-lto.h
// and build-salt.h.
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::elf_notes {

/// Notes named "Xen".
constexpr u32 XEN_ELFNOTE_GUEST_OS = 6;
constexpr u32 XEN_ELFNOTE_PHYS32_ENTRY = 18;
/// Notes named "Linux".
constexpr u32 LINUX_ELFNOTE_BUILD_SALT = 0x100;
constexpr u32 LINUX_ELFNOTE_LTO_INFO = 0x101;

}  // namespace mayfly::elf_notes
