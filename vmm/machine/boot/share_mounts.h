// SPDX-License-Identifier: Apache-2.0
// share_mounts(): the host's directories that init is to mount, and what Linux needs for them. Thread: any.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "firmware/boot/elf_kernel.h"
#include "vmm/initramfs/initramfs.h"
#include "vmm/machine/plan/config.h"

namespace mayfly {

/// The mounts of a guest with --exec, without its root.
[[nodiscard]] std::vector<ShareMount> share_mounts(const BootConfig& config);

/// The Linux modules that mounting needs, where the kernel has not built them in.
[[nodiscard]] std::vector<std::string_view> share_modules(const BootConfig& config);

/// For a boot without a directory of modules. Errors: Invalid for a kernel that is known to lack a driver;
/// with others init reports it.
[[nodiscard]] Result<void> check_share_modules(const BootConfig& config,
                                               const std::optional<ElfImage>& vmlinux);

}  // namespace mayfly
