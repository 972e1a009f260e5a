// SPDX-License-Identifier: Apache-2.0
// Which drivers a Linux kernel has built in, as far as its constants tell.
//
// A driver registers under its name, so the name is among the read-only data of a kernel that has it built
// in, and is not where the driver is a module. That is a hint, never a proof: whoever asks must be able to
// live with a wrong answer. Thread: one thread, before any vCPU runs.
#pragma once

#include <string_view>

#include "firmware/boot/elf_kernel.h"

namespace mayfly {

/// False where the kernel has no section .rodata, or the name is not in it.
[[nodiscard]] bool has_driver(const ElfImage& vmlinux, std::string_view name);

}  // namespace mayfly
