// SPDX-License-Identifier: Apache-2.0
// Which drivers a Linux kernel has built in, as far as its constants tell.
//
// A driver registers under its name, so the name is among the read-only data of a kernel that has the driver
// built in, and missing where the driver is a module. That is a hint, never a proof: callers must cope with a
// wrong answer. Thread: one thread, before any vCPU runs.
#pragma once

#include <optional>
#include <string_view>

#include "firmware/boot/elf_kernel.h"

namespace mayfly {

/// Where an occurrence of `text` begins among a kernel's constants: an offset in its file. Empty where the
/// kernel lacks a section .rodata, or has too large a one.
[[nodiscard]] std::optional<u64> find_constant(const ElfImage& vmlinux, std::string_view text);

/// False where the kernel has no section .rodata, or the name is not in it.
[[nodiscard]] bool has_driver(const ElfImage& vmlinux, std::string_view name);

/// Whether a kernel, whose constants can be read, surely lacks a built-in module. The linker may have made a
/// name the end of another constant, so finding one proves little.
[[nodiscard]] bool surely_lacks(const ElfImage& vmlinux, std::string_view module);

/// The name under which the driver of a module, "virtio_pci", registers.
[[nodiscard]] std::string_view driver_name(std::string_view module);

}  // namespace mayfly
