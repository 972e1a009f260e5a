// SPDX-License-Identifier: Apache-2.0
// A machine as a snapshot, and from one: all sections and the memory.
//
// Sections: MACH and HOST (this folder), MEMO the list of memory, the others as in machine_codec.h.
// Thread: any.
#pragma once

#include <string>

#include "vmm/machine/machine.h"
#include "vmm/machine/snapshot/disk_identity.h"
#include "vmm/machine/snapshot/host_record.h"
#include "vmm/machine/snapshot/machine_record.h"
#include "vmm/snapshot/directory.h"
#include "vmm/snapshot/memory_image.h"

namespace mayfly {

/// The bytes of the file `state`.
[[nodiscard]] std::vector<std::byte> encode_snapshot(const Machine& machine, const MachineState& state,
                                                     const MemoryRecord& memory,
                                                     const std::vector<DiskIdentity>& disks,
                                                     std::string maker);

/// What a snapshot is, without its memory's content.
struct Snapshot {
    HostRecord host;
    MachineRecord machine;
    MachineState state;
    MemoryRecord memory;
    std::vector<DiskIdentity> disks;
    UniqueFd memory_file;
};

/// Errors: Invalid, Os; all with the path.
Result<Snapshot> load_snapshot(const std::string& directory);

}  // namespace mayfly
