// SPDX-License-Identifier: Apache-2.0
// guest_load: loads the images of a guest into its memory, with its tables and command line.
//
// Thread: the main thread, before any vCPU runs.
#pragma once

#include "vmm/machine/boot/guest_images.h"
#include "vmm/machine/boot/machine_plan.h"

namespace mayfly {

/// Packs the initramfs of --exec, which becomes the initrd. Errors: Invalid for a kernel that is not Linux,
/// and pack_initramfs()'s.
Result<void> pack_program(const MachinePlan& plan, const BootConfig& config, GuestImages& images,
                          StopToken stop);

/// Errors: load_guest()'s, and those of write_boot_tables(); Os where the host gives no randomness for a
/// seed.
Result<EntryState> load_images(const MachinePlan& plan, const BootConfig& config, const GuestImages& images,
                               GuestRam& ram);

}  // namespace mayfly
