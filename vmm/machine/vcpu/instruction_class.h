// SPDX-License-Identifier: Apache-2.0
// instruction_class: names the instruction at the start of some bytes, as far as a crash report needs it.
//
// Not a decoder: prefixes, the opcode map, and the few opcodes that KVM's emulator is known to lack.
// Spec: Intel SDM Vol. 2D appendix A "Opcode Map"; Vol. 2A §2.1 "Instruction Format for Protected Mode".
#pragma once

#include <span>
#include <string_view>

#include "vmm/error/ints.h"

namespace mayfly {

/// "cmpxchg16b", "x87", "AVX", ... or "an instruction of the two-byte map"; never empty.
/// `is_64bit`: bytes 0x40-0x4f are REX prefixes.
[[nodiscard]] std::string_view instruction_class(std::span<const u8> bytes, bool is_64bit);

}  // namespace mayfly
