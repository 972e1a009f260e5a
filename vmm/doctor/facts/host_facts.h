// SPDX-License-Identifier: Apache-2.0
// host_facts: all facts that the doctor learns without KVM: procfs, sysfs, CPUID, limits, one io_uring.
// Thread: any; reads only.
#pragma once

#include "vmm/doctor/facts/facts.h"

namespace mayfly {

/// Never fails: facts that cannot be read stay empty.
[[nodiscard]] HostFacts gather_host();

}  // namespace mayfly
