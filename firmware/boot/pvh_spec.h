// SPDX-License-Identifier: Apache-2.0
// PVH start info by the specification's names: xen/include/public/arch-x86/hvm/start_info.h and
// docs/misc/pvh.pandoc "x86/HVM direct boot ABI".
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::pvh {

constexpr u32 XEN_HVM_START_MAGIC_VALUE = 0x336e'c578;
/// Version 1 has the memory map.
constexpr u32 kStartInfoVersion = 1;

struct hvm_start_info {
    u32 magic;
    u32 version;
    u32 flags;
    u32 nr_modules;
    u64 modlist_paddr;
    u64 cmdline_paddr;
    u64 rsdp_paddr;
    u64 memmap_paddr;
    u32 memmap_entries;
    u32 reserved;
};
static_assert(sizeof(hvm_start_info) == 56);

struct hvm_modlist_entry {
    u64 paddr;
    u64 size;
    u64 cmdline_paddr;
    u64 reserved;
};
static_assert(sizeof(hvm_modlist_entry) == 32);

/// Types are those of the e820 map.
struct hvm_memmap_table_entry {
    u64 addr;
    u64 size;
    u32 type;
    u32 reserved;
};
static_assert(sizeof(hvm_memmap_table_entry) == 24);

}  // namespace mayfly::pvh
