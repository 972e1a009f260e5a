// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/boot/linux_room.h"

#include <algorithm>

#include "firmware/boot/linux_driver.h"
#include "vmm/machine/boot/linux_command_line.h"

namespace mayfly {

namespace {

/// Sections may be wrong.
constexpr u64 kKernelMax = GiB(1);
/// An option of tmpfs: a kernel built without tmpfs uses ramfs instead.
constexpr std::string_view kTmpfsOption = "nr_blocks";
/// Documentation/arch/x86/x86_64/mm.rst: "kernel text mapping, mapped to physical address 0".
constexpr u64 kKernelBase = 0xffff'ffff'8000'0000;
/// Each parameter makes the root a ramfs, or limits its size.
constexpr std::string_view kOtherRoots[] = {"root", "rootfstype", "initramfs_options"};

/// What Linux reserves for itself from its start to the end of .bss, the first of its sections without
/// content: Linux gives back what follows, or never takes it (arch/x86/kernel/vmlinux.lds.S).
u64 reserved_bytes(const ElfSections& sections) {
    u64 begin = ~u64{0};
    u64 bss = ~u64{0};
    u64 end = 0;
    for (const Elf64_Shdr& section : sections.headers()) {
        // Areas for each processor are linked at 0.
        if ((section.sh_flags & SHF_ALLOC) == 0 || section.sh_addr < kKernelBase) continue;
        begin = std::min(begin, section.sh_addr);
        if (section.sh_type != SHT_NOBITS || section.sh_addr >= bss) continue;
        bss = section.sh_addr;
        end = bss + section.sh_size;
    }
    const u64 bytes = end - std::min(begin, end);
    return bytes <= kKernelMax ? bytes : 0;
}

}  // namespace

GuestRoom linux_room(const std::optional<ElfImage>& vmlinux, std::string_view command_line,
                     u64 memory_bytes) {
    GuestRoom room{.memory_bytes = memory_bytes};
    if (!vmlinux || !vmlinux->kernel.sections) return room;
    room.kernel_bytes = reserved_bytes(*vmlinux->kernel.sections);
    room.is_tmpfs = std::none_of(std::begin(kOtherRoots), std::end(kOtherRoots),
                                 [&](std::string_view word) { return has_parameter(command_line, word); }) &&
                    has_driver(*vmlinux, kTmpfsOption);
    return room;
}

}  // namespace mayfly
