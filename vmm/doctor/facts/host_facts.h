// SPDX-License-Identifier: Apache-2.0
// host_facts: everything the doctor learns without using KVM: procfs, sysfs, CPUID, limits, one io_uring.
// Thread: any; reads only.
#pragma once

#include "vmm/doctor/facts/facts.h"

namespace mayfly {

/// Never fails: what cannot be read stays empty.
[[nodiscard]] HostFacts gather_host();

}  // namespace mayfly
