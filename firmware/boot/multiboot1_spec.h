// SPDX-License-Identifier: Apache-2.0
// Multiboot by the specification's names: Multiboot Specification 0.6.96 §3 "Specification".
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::multiboot1 {

// Multiboot Specification 0.6.96 §3.1 "OS image format": the header lies within the first 8192 bytes, 4-byte
// aligned.
constexpr u64 kSearchBytes = 8192;
constexpr u64 kHeaderAlignment = 4;
constexpr u32 kHeaderMagic = 0x1bad'b002;
constexpr u32 kLoaderMagic = 0x2bad'b002;

constexpr u32 kPageAlignModules = 1u << 0;
constexpr u32 kMemoryInfo = 1u << 1;
constexpr u32 kVideoMode = 1u << 2;
constexpr u32 kAddressFields = 1u << 16;
/// Bits 0-15 are requirements: a loader must fail on an unknown one.
constexpr u32 kRequirements = 0xffff;

struct Header {
    u32 magic;
    u32 flags;
    u32 checksum;
    u32 header_addr;
    u32 load_addr;
    u32 load_end_addr;
    u32 bss_end_addr;
    u32 entry_addr;
};
constexpr u64 kHeaderBytesMin = 12;

// Multiboot Specification 0.6.96 §3.3 "Boot information format"
constexpr u32 kInfoMemory = 1u << 0;
constexpr u32 kInfoCommandLine = 1u << 2;
constexpr u32 kInfoModules = 1u << 3;
constexpr u32 kInfoMemoryMap = 1u << 6;
constexpr u32 kInfoLoaderName = 1u << 9;

struct Info {
    u32 flags;
    u32 mem_lower;
    u32 mem_upper;
    u32 boot_device;
    u32 cmdline;
    u32 mods_count;
    u32 mods_addr;
    u32 syms[4];
    u32 mmap_length;
    u32 mmap_addr;
    u32 drives_length;
    u32 drives_addr;
    u32 config_table;
    u32 boot_loader_name;
    u32 apm_table;
    u32 vbe_control_info;
    u32 vbe_mode_info;
    u16 vbe_mode;
    u16 vbe_interface_seg;
    u16 vbe_interface_off;
    u16 vbe_interface_len;
};
static_assert(sizeof(Info) == 88);

struct Module {
    u32 mod_start;
    u32 mod_end;
    u32 string;
    u32 reserved;
};

struct MemoryMapEntry {
    u32 size;  ///< of what follows: 20
    u64 base_addr;
    u64 length;
    u32 type;
} __attribute__((packed));
static_assert(sizeof(MemoryMapEntry) == 24);

}  // namespace mayfly::multiboot1
