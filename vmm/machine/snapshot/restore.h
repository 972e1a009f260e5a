// SPDX-License-Identifier: Apache-2.0
// A machine that goes on from a snapshot.
//
// Thread: the main thread.
#pragma once

#include <memory>

#include "vmm/machine/machine.h"
#include "vmm/machine/snapshot/snapshot_file.h"

namespace mayfly {

/// load_snapshot(), of a guest that can go on here. Errors: Host for another kind of host; those of
/// load_snapshot().
Result<Snapshot> load_for_here(const std::string& directory);

/// The configuration of a machine with the hardware of `saved` and what `asked` chooses anew: reports,
/// console, time limit, and disks and networks, each in its place. A writable disk is not written, but an
/// overlay over it. Errors: Invalid for what the saved machine does not have, or is not given.
Result<BootConfig> restored_config(const BootConfig& saved, const BootConfig& asked);

/// `config` is restored_config()'s. Errors: Invalid for disks that have changed; those of Machine::restore().
Result<std::unique_ptr<Machine>> restore_machine(std::unique_ptr<Snapshot> snapshot, const BootConfig& config,
                                                 OutputFds fds, StopControl& stop, Timeline& timeline);

}  // namespace mayfly
