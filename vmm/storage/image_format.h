// SPDX-License-Identifier: Apache-2.0
// Disk images that are not raw, by the magic numbers that their programs write.
//
// Only to refuse them: a guest may have written the file's bytes, so mayfly never opens a file in another
// format, or at another place, because of them.
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

/// The format that the first or last sector of `size_bytes` names; none also for an unreadable file, whose
/// error its user gets later.
[[nodiscard]] ImageFormat find_image_format(const UniqueFd& fd, u64 size_bytes);

/// The command that converts it to a raw disk. With the format, because qemu-img does not look for the footer
/// of a fixed-size VHD by itself.
[[nodiscard]] std::string conversion_command(std::string_view qemu_name, const std::string& path);

}  // namespace mayfly
