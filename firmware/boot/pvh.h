// SPDX-License-Identifier: Apache-2.0
// The PVH boot protocol: an ELF with a Xen note is entered in 32-bit mode with EBX at hvm_start_info.
//
// Spec: Xen docs/misc/pvh.pandoc "x86/HVM direct boot ABI".
// Thread: one thread, before any vCPU runs.
#pragma once

#include "firmware/boot/boot.h"

namespace mayfly {

/// Of an ELF with a PVH note. Errors: Invalid, as load_guest().
Result<EntryState> load_pvh(const ElfImage& elf, const BootRequest& request, GuestRam& ram,
                            const MemoryMap& map);

}  // namespace mayfly
