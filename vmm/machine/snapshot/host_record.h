// SPDX-License-Identifier: Apache-2.0
// HostRecord: the host that a snapshot was made on, and whether its guest can go on here. Its section is
// HOST.
//
// Thread: any; values only.
#pragma once

#include <span>
#include <string>

#include "vmm/kvm/host_kind.h"
#include "vmm/snapshot/format/state_file.h"

namespace mayfly {

struct HostRecord {
    std::string maker;    ///< mayfly's version
    std::string kernel;   ///< of the host: its release
    std::string boot_id;  ///< of the host's start; empty where it does not tell
    KvmFlavour flavour = KvmFlavour::Unknown;
    std::string vendor;    ///< "GenuineIntel"
    u32 signature = 0;     ///< CPUID 1, EAX: family, model, stepping
    i64 made_seconds = 0;  ///< since the epoch
};

/// This host now, whose KVM is of that flavour. `maker` is this mayfly's version.
[[nodiscard]] HostRecord this_host(KvmFlavour flavour, std::string maker);
[[nodiscard]] Section encode(const HostRecord& record);
/// Errors: Invalid.
Result<HostRecord> decode_host_record(std::span<const SectionView> sections);
/// Whether a guest of `made` can go on at `here`. Errors: Host, with what differs.
Result<void> check_host(const HostRecord& made, const HostRecord& here);
/// "GenuineIntel family 6 model 143 stepping 8"
[[nodiscard]] std::string print_processor(const HostRecord& host);

}  // namespace mayfly
