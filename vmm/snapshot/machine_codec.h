// SPDX-License-Identifier: Apache-2.0
// MachineState as sections of a state file, and back. Only the form is checked here: the owner of each part
// refuses what no guest can have brought it to, when it is restored.
//
//   CPUS  CPUID of the first vCPU and how that of others differs; each vCPU    VMST  clock, kernel's chips
//   INTR  interrupt controllers of ours   CHIP  chips   VIRT  virtio devices   CONS  console
//   PROG  a program of --exec, where there is one
//
// Thread: any.
#pragma once

#include <span>
#include <vector>

#include "vmm/snapshot/format/state_file.h"
#include "vmm/snapshot/machine_state.h"

namespace mayfly {

[[nodiscard]] std::vector<Section> encode(const MachineState& state);
/// Other sections are left alone. Errors: Invalid for one that lacks, that is newer, or that is damaged.
Result<MachineState> decode_machine_state(std::span<const SectionView> sections);

}  // namespace mayfly
