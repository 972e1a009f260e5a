// SPDX-License-Identifier: Apache-2.0
// What Multiboot 1 and 2 have in common: the a.out address fields, modules and the command line.
//
// Thread: one thread, before any vCPU runs.
#pragma once

#include <string>
#include <vector>

#include "firmware/boot/boot.h"
#include "firmware/boot/elf_kernel.h"
#include "firmware/boot/occupancy.h"

namespace mayfly {

/// The address fields of a Multiboot header, which place the kernel's bytes. Named as in the specifications.
struct AddressFields {
    u64 header_offset_bytes;  ///< of the Multiboot header, in the file
    u32 header_addr;
    u32 load_addr;
    u32 load_end_addr;  ///< 0: up to the end of the file
    u32 bss_end_addr;   ///< 0: no bss
};

/// Converts the fields to the one segment that they describe. Errors: Invalid when they contradict each other
/// or the file.
Result<ElfKernel> read_address_fields(const Image& image, const AddressFields& fields);

struct PlacedModule {
    u32 start;
    u32 end;
    std::string text;  ///< "FILE[ ARGS]"
};

/// The initrd, then every module, one after the other above the kernel, each at a page boundary.
/// Errors: Invalid when one does not fit below the hole.
Result<std::vector<PlacedModule>> place_multiboot_modules(const BootRequest& request, GuestRam& ram,
                                                          const MemoryMap& map, Occupancy& occupancy);

/// The command line, which begins with a program name that kernels skip.
std::string multiboot_command_line(const BootRequest& request);

/// KiB below 640 KiB that are free, and KiB of contiguous RAM from 1 MiB on.
struct BasicMemory {
    u32 lower_kib;
    u32 upper_kib;
};
BasicMemory basic_memory(const MemoryMap& map);

/// The boot loader name.
constexpr const char* kLoaderName = "mayfly";

/// 32-bit mode, EAX and EBX as both specifications require. Errors: Invalid for an entry above 4 GiB.
Result<EntryState> multiboot_entry(const GuestMemory& memory, Occupancy& occupancy, u64 entry, u32 magic,
                                   Gpa info);

}  // namespace mayfly
