// SPDX-License-Identifier: Apache-2.0
// QEMU's microvm beside a `mayfly boot`: from BOOT-ARGS to a machine, and to the statuses that it ends with.
#pragma once

#include <string>
#include <vector>

#include "vmm/bench/measure/qemu_command.h"
#include "vmm/command/options/boot_options.h"
#include "vmm/error/result.h"

namespace mayfly {

/// BOOT-ARGS as `mayfly boot` reads them. Errors: Invalid.
Result<BootArguments> bench_boot_arguments(const std::vector<std::string>& words);

/// What QEMU needs to do the same as `mayfly boot BOOT-ARGS`. The kernel may be "builtin:NAME". Errors:
/// Invalid for an option that QEMU's microvm has no counterpart of.
Result<QemuMachine> bench_qemu_machine(const std::vector<std::string>& boot_words);

/// How QEMU may end when `mayfly boot BOOT-ARGS` ends with `status`: isa-debug-exit makes value << 1 | 1 of
/// what the guest writes; a power-off is 0. Errors: Invalid.
Result<std::vector<int>> bench_qemu_statuses(const std::vector<std::string>& boot_words, int status);

}  // namespace mayfly
