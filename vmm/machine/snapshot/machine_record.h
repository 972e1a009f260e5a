// SPDX-License-Identifier: Apache-2.0
// MachineRecord: what a snapshot knows of its machine besides the state: the hardware that the guest has
// found, and what its user asked for. Its section is MACH.
//
// Places of devices are not in it. They follow from the rest and from the layout, whose version is.
// Thread: any; values only.
#pragma once

#include <span>

#include "vmm/machine/boot/machine_plan.h"
#include "vmm/snapshot/format/state_file.h"

namespace mayfly {

/// To be counted up when a device, a table or a port moves, or devices are planned otherwise: snapshots from
/// before cannot be restored then.
inline constexpr u32 kLayoutVersion = 1;

struct MachineRecord {
    /// Disks and networks as the guest has found them, with their old names; of --exec's program what is
    /// needed while it runs.
    BootConfig config;
    MachinePlan plan;  ///< without the kernel's headers
};

[[nodiscard]] Section encode(const MachineRecord& record);
/// For this host. Errors: Invalid where the section is missing or damaged, of another layout, or describes a
/// machine that cannot be.
Result<MachineRecord> decode_machine_record(std::span<const SectionView> sections);

}  // namespace mayfly
