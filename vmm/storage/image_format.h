// SPDX-License-Identifier: Apache-2.0
// Disk images that are not raw, by the magic numbers that their programs write.
//
// Only to refuse them: what a file's bytes say was perhaps said by a guest, so nothing is ever opened as
// another format, or at another place, because of them.
//
// Specification: qemu docs/interop/qcow2.txt, qed_spec.txt and parallels.rst; VMware Virtual Disk Format 1.1;
// Microsoft, Virtual Hard Disk Image Format Specification 1.0, and [MS-VHDX] 2.2.1. Thread: any.
#pragma once

#include <string_view>

#include "vmm/error/ints.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

/// "qcow2", "VMDK": what the first or last sector of `size_bytes` names; empty for anything else, and for
/// what cannot be read, which its user will be told.
[[nodiscard]] std::string_view find_image_format(const UniqueFd& fd, u64 size_bytes);

}  // namespace mayfly
