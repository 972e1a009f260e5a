// SPDX-License-Identifier: Apache-2.0
// Multiboot 2 by the specification's names: Multiboot2 Specification 2.0 §3 "The Definitions".
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::multiboot2 {

// Multiboot2 Specification 2.0 §3.1 "OS image format": the header lies within the first 32768 bytes, 8-byte
// aligned.
constexpr u64 kSearchBytes = 32768;
constexpr u64 kHeaderAlignment = 8;
constexpr u32 kHeaderMagic = 0xe852'50d6;
constexpr u32 kLoaderMagic = 0x36d7'6289;
constexpr u32 kArchitectureI386 = 0;

struct Header {
    u32 magic;
    u32 architecture;
    u32 header_length;
    u32 checksum;
};
static_assert(sizeof(Header) == 16);

/// Multiboot2 Specification 2.0 §3.1.3 "General tag structure". `size` does not count padding.
struct HeaderTag {
    u16 type;
    u16 flags;
    u32 size;
};
static_assert(sizeof(HeaderTag) == 8);
constexpr u16 kTagOptional = 1;

// Header tags: Multiboot2 Specification 2.0 §3.1.4 "Information request header tag" and what follows it.
constexpr u16 kHeaderEnd = 0;
constexpr u16 kHeaderInformationRequest = 1;
constexpr u16 kHeaderAddress = 2;
constexpr u16 kHeaderEntryAddress = 3;
constexpr u16 kHeaderConsoleFlags = 4;
constexpr u16 kHeaderFramebuffer = 5;
constexpr u16 kHeaderModuleAlign = 6;
constexpr u16 kHeaderEfiBootServices = 7;
constexpr u16 kHeaderEntryEfiI386 = 8;
constexpr u16 kHeaderEntryEfiAmd64 = 9;
constexpr u16 kHeaderRelocatable = 10;

struct AddressTag {
    u32 header_addr;
    u32 load_addr;
    u32 load_end_addr;
    u32 bss_end_addr;
};

struct RelocatableTag {
    u32 min_addr;
    u32 max_addr;
    u32 align;
    u32 preference;
};

constexpr u32 kConsoleRequired = 1u << 0;

// Multiboot2 Specification 2.0 §3.6 "Boot information": tags, each at a multiple of 8.
constexpr u32 kInfoEnd = 0;
constexpr u32 kInfoCommandLine = 1;
constexpr u32 kInfoLoaderName = 2;
constexpr u32 kInfoModule = 3;
constexpr u32 kInfoBasicMemory = 4;
constexpr u32 kInfoMemoryMap = 6;
constexpr u32 kInfoAcpiOld = 14;
constexpr u32 kInfoAcpiNew = 15;
constexpr u32 kInfoLoadBase = 21;

struct InfoTag {
    u32 type;
    u32 size;
};

struct MemoryMapEntry {
    u64 base_addr;
    u64 length;
    u32 type;
    u32 reserved;
};
static_assert(sizeof(MemoryMapEntry) == 24);

}  // namespace mayfly::multiboot2
