// SPDX-License-Identifier: Apache-2.0
// The facts in a kernel module's section .modinfo: NUL-ended strings, NAME=VALUE.
//
// Bytes in, values out; no file can make it read beyond them, or take more memory than they do.
// Specification: Linux 6.12, include/linux/moduleparam.h __MODULE_INFO; System V ABI, "Object Files".
// Thread: any.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vmm/error/ints.h"

namespace mayfly {

struct ModuleInfo {
    std::string release;                  ///< of its kernel, the first word of vermagic; empty: unknown
    std::vector<std::string> needs;       ///< names of depends=
    std::vector<std::string> soft_needs;  ///< values of softdep=: "pre: A B post: C"
};

/// Empty for anything but a 64-bit ELF file with such a section.
[[nodiscard]] std::optional<ModuleInfo> read_modinfo(std::span<const std::byte> file);

}  // namespace mayfly
