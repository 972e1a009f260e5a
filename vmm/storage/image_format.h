// SPDX-License-Identifier: Apache-2.0
// Disk images that are not raw, by the magic numbers that their programs write.
//
// Only to refuse them: what a file's bytes say was perhaps said by a guest, so nothing is ever opened as
// another format, or at another place, because of them.
//
// Specification: qemu docs/interop/qcow2.txt, qed_spec.txt and parallels.rst; VMware Virtual Disk Format 1.1;
// Microsoft, Virtual Hard Disk Image Format Specification 1.0, and [MS-VHDX] 2.2.1. Thread: any.
#pragma once

#include <string>
#include <string_view>

#include "vmm/error/ints.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

struct ImageFormat {
    std::string_view name;       ///< "qcow2", "VHD"; empty: none that is known
    std::string_view qemu_name;  ///< as qemu-img's -f wants it: "vpc"
};

/// What the first or last sector of `size_bytes` names; none also for what cannot be read, which its user
/// will be told.
[[nodiscard]] ImageFormat find_image_format(const UniqueFd& fd, u64 size_bytes);

/// The command that makes a raw disk of it. With the format, because what is behind a VHD of fixed size
/// qemu-img does not look at by itself.
[[nodiscard]] std::string conversion_command(std::string_view qemu_name, const std::string& path);

}  // namespace mayfly
