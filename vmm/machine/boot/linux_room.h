// SPDX-License-Identifier: Apache-2.0
// The room that a Linux guest has for the files of its initramfs, from its kernel and its command line.
//
// Thread: one thread, before any vCPU runs.
#pragma once

#include <optional>
#include <string_view>

#include "firmware/boot/elf_kernel.h"
#include "vmm/initramfs/archive/guest_room.h"

namespace mayfly {

/// Searches the kernel's constants, up to 12 MiB. Where it finds nothing, nothing counts as limited.
[[nodiscard]] GuestRoom linux_room(const std::optional<ElfImage>& vmlinux, std::string_view command_line,
                                   u64 memory_bytes);

}  // namespace mayfly
