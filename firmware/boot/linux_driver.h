// SPDX-License-Identifier: Apache-2.0
// Which drivers a Linux kernel has built in, as far as its constants tell.
//
// A driver registers under its name, so the name is among the read-only data of a kernel that has it built
// in, and is not where the driver is a module. That is a hint, never a proof: whoever asks must be able to
// live with a wrong answer. Thread: one thread, before any vCPU runs.
#pragma once

#include <optional>
#include <string_view>

#include "firmware/boot/elf_kernel.h"

namespace mayfly {

/// Where an occurrence of `text` begins among a kernel's constants: an offset in its file. Nothing where it
/// has no section .rodata, or one that is too large.
[[nodiscard]] std::optional<u64> find_constant(const ElfImage& vmlinux, std::string_view text);

/// False where the kernel has no section .rodata, or the name is not in it.
[[nodiscard]] bool has_driver(const ElfImage& vmlinux, std::string_view name);

/// Whether a kernel, whose constants can be read, surely has not built in a module. The linker may have made
/// a name the end of another constant, so finding one says little.
[[nodiscard]] bool surely_lacks(const ElfImage& vmlinux, std::string_view module);

/// What the driver of a module, "virtio_pci", registers under.
[[nodiscard]] std::string_view driver_name(std::string_view module);

}  // namespace mayfly
