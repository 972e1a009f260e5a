// SPDX-License-Identifier: Apache-2.0
// Multiboot 1: loading by ELF or by address fields, and the information structure.
//
// Spec: Multiboot Specification 0.6.96.
// Thread: one thread, before any vCPU runs.
#pragma once

#include "firmware/boot/boot.h"

namespace mayfly {

/// `headers` are the kernel's, including a Multiboot header.
/// Errors: Invalid, as load_guest(); also for a requirement of the kernel that mayfly does not meet.
Result<EntryState> load_multiboot1(const Image& kernel, const KernelHeaders& headers,
                                   const BootRequest& request, GuestRam& ram, const MemoryMap& map);

}  // namespace mayfly
