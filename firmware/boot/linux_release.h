// SPDX-License-Identifier: Apache-2.0
// The release of a Linux kernel, as `uname -r` prints it: the name of its directory of modules.
//
// A hint, like all of a file's claims about itself. Specification: Linux 6.12,
// Documentation/arch/x86/boot.rst, "kernel_version". Thread: one thread, before any vCPU runs.
#pragma once

#include <optional>
#include <string>

#include "firmware/boot/boot.h"

namespace mayfly {

/// "6.12.9-amd64": by a bzImage's header, else by the banner among the constants of `vmlinux`. Empty where
/// neither tells it, or where it cannot be the name of a directory.
[[nodiscard]] std::string linux_release(const Image& kernel, const KernelHeaders& headers,
                                        const std::optional<ElfImage>& vmlinux);

}  // namespace mayfly
