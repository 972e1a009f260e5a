// SPDX-License-Identifier: Apache-2.0
// DiskIdentity: how a restore finds out that a disk is not what the snapshot's guest knows. A file that was
// copied with its times is the same. The section of all disks is DISK.
//
// Thread: any; values only.
#pragma once

#include <span>
#include <vector>

#include "vmm/machine/plan/config.h"
#include "vmm/snapshot/format/state_file.h"

namespace mayfly {

struct DiskIdentity {
    u64 bytes = 0;       ///< of a block device: 0
    i64 changed_ns = 0;  ///< its content was, since the epoch
    u32 edges = 0;       ///< CRC-32 of the first and the last 4 KiB

    friend bool operator==(const DiskIdentity&, const DiskIdentity&) = default;
};

/// Of each, as it is now. Errors: Os, with the path.
Result<std::vector<DiskIdentity>> identities_of(std::span<const DiskConfig> disks);
/// Errors: Invalid, with the first that differs; Os.
Result<void> check_identities(std::span<const DiskConfig> disks, std::span<const DiskIdentity> saved);

[[nodiscard]] Section encode(const std::vector<DiskIdentity>& identities);
/// Errors: Invalid.
Result<std::vector<DiskIdentity>> decode_disk_identities(std::span<const SectionView> sections);

}  // namespace mayfly
