// SPDX-License-Identifier: Apache-2.0
// The Linux boot protocol as the specification has it: Documentation/arch/x86/boot.rst (protocol 2.15),
// zero-page.rst, and arch/x86/include/uapi/asm/bootparam.h. Offsets are from the start of the zero page,
// which are also those in the first sector of a bzImage.
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::linux_boot {

// struct boot_params
constexpr u64 kAcpiRsdpAddr = 0x070;
constexpr u64 kExtRamdiskImage = 0x0c0;
constexpr u64 kExtRamdiskSize = 0x0c4;
constexpr u64 kE820Entries = 0x1e8;
constexpr u64 kSetupHeader = 0x1f1;
constexpr u64 kSetupHeaderEnd = 0x290;  ///< edd_mbr_sig_buffer begins
constexpr u64 kE820Table = 0x2d0;
constexpr std::size_t kE820EntryMax = 128;

// struct setup_header
constexpr u64 kSetupSects = 0x1f1;
constexpr u64 kSysSize = 0x1f4;
constexpr u64 kBootFlag = 0x1fe;
constexpr u64 kJumpLength = 0x201;
constexpr u64 kHeader = 0x202;
constexpr u64 kVersion = 0x206;
constexpr u64 kTypeOfLoader = 0x210;
constexpr u64 kLoadflags = 0x211;
constexpr u64 kCode32Start = 0x214;
constexpr u64 kRamdiskImage = 0x218;
constexpr u64 kRamdiskSize = 0x21c;
constexpr u64 kCmdLinePtr = 0x228;
constexpr u64 kInitrdAddrMax = 0x22c;
constexpr u64 kKernelAlignment = 0x230;
constexpr u64 kXloadflags = 0x236;
constexpr u64 kCmdlineSize = 0x238;
constexpr u64 kPayloadOffset = 0x248;
constexpr u64 kPayloadLength = 0x24c;
constexpr u64 kSetupData = 0x250;
constexpr u64 kPrefAddress = 0x258;
constexpr u64 kInitSize = 0x260;

constexpr u16 kBootFlagValue = 0xaa55;
constexpr u32 kHeaderValue = 0x5372'6448;  ///< "HdrS"
constexpr u8 kLoaderUndefined = 0xff;
constexpr u8 LOADED_HIGH = 1 << 0;
constexpr u16 XLF_KERNEL_64 = 1 << 0;
/// Where the 64-bit entry lies in a protected-mode kernel: boot.rst "64-bit Boot Protocol".
constexpr u64 kEntry64Offset = 0x200;
constexpr u64 kSectorBytes = 512;

struct boot_e820_entry {
    u64 addr;
    u64 size;
    u32 type;
} __attribute__((packed));
static_assert(sizeof(boot_e820_entry) == 20);

constexpr u32 SETUP_RNG_SEED = 9;

struct setup_data {
    u64 next;
    u32 type;
    u32 len;
};
static_assert(sizeof(setup_data) == 16);

}  // namespace mayfly::linux_boot
