// SPDX-License-Identifier: Apache-2.0
// The Linux boot protocol: zero page, initrd and RNG seed; and an ELF64 vmlinux entered at its 64-bit entry.
//
// Spec: Linux Documentation/arch/x86/boot.rst "64-bit Boot Protocol", zero-page.rst.
// Thread: one thread, before any vCPU runs.
#pragma once

#include <vector>

#include "firmware/boot/boot.h"
#include "firmware/boot/occupancy.h"

namespace mayfly {

/// The differences between a plain ELF and a bzImage.
struct LinuxSetup {
    std::vector<std::byte> header;         ///< setup header, to be put at offset 0x1f1 before our own fields
    u64 command_line_max = 2047;           ///< COMMAND_LINE_SIZE minus the NUL, on x86
    u64 initrd_address_max = 0x7fff'ffff;  ///< of the initrd's last byte
};

/// The setup header of a kernel that comes without one.
LinuxSetup linux_setup_for_elf();

/// Of an ELF64. Errors: Invalid, as load_guest().
Result<EntryState> load_linux_elf(const ElfImage& elf, const BootRequest& request, GuestRam& ram,
                                  const MemoryMap& map);

/// Once the kernel is placed and claimed: initrd, command line, zero page, GDT and page tables, for an entry
/// in `mode` at `entry`. Errors: Invalid when the command line or the initrd does not fit.
Result<EntryState> finish_linux(const LinuxSetup& setup, const BootRequest& request, CpuMode mode, u64 entry,
                                GuestRam& ram, const MemoryMap& map, Occupancy& occupancy);

}  // namespace mayfly
