// SPDX-License-Identifier: Apache-2.0
// Multiboot 2: loading by ELF or by address tag, relocation, and the information tags.
//
// Spec: Multiboot2 Specification 2.0.
// Thread: one thread, before any vCPU runs.
#pragma once

#include "firmware/boot/boot.h"

namespace mayfly {

/// `headers` are the kernel's, including a Multiboot 2 header.
/// Errors: Invalid, as load_guest(); also for a requirement of the kernel that mayfly does not meet.
Result<EntryState> load_multiboot2(const Image& kernel, const KernelHeaders& headers,
                                   const BootRequest& request, GuestRam& ram, const MemoryMap& map);

}  // namespace mayfly
