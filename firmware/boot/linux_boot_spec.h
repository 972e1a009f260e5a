// SPDX-License-Identifier: Apache-2.0
// The Linux boot protocol as Documentation/arch/x86/boot.rst (protocol 2.15) defines it, without the parts in
// <asm/bootparam.h>.
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::linux_boot {

constexpr u16 kBootFlag = 0xaa55;
constexpr u32 kHeaderMagic = 0x5372'6448;  ///< "HdrS"
constexpr u8 kLoaderUndefined = 0xff;
/// Where the 64-bit entry lies in a protected-mode kernel: boot.rst "64-bit Boot Protocol".
constexpr u64 kEntry64Offset = 0x200;
constexpr u64 kSectorBytes = 512;

}  // namespace mayfly::linux_boot
