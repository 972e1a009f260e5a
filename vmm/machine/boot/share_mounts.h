// SPDX-License-Identifier: Apache-2.0
// share_mounts(): what init is to mount of the host's directories, and what Linux needs for that. Thread:
// any.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "firmware/boot/elf_kernel.h"
#include "vmm/initramfs/initramfs.h"
#include "vmm/machine/plan/config.h"

namespace mayfly {

/// Those of a guest with --exec, but for its root.
[[nodiscard]] std::vector<ShareMount> share_mounts(const BootConfig& config);

/// The modules of Linux without which they cannot be mounted, where the kernel has them as modules.
[[nodiscard]] std::vector<std::string_view> share_modules(const BootConfig& config);

/// For a boot without a directory of modules. Errors: Invalid for a kernel that tells that it has not built
/// in what it needs; init says so of the others.
[[nodiscard]] Result<void> check_share_modules(const BootConfig& config,
                                               const std::optional<ElfImage>& vmlinux);

}  // namespace mayfly
