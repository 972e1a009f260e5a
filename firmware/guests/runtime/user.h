// SPDX-License-Identifier: Apache-2.0
// A guest whose main part runs in ring 3, at full speed also where ring 0 is interpreted.
//
// There it may use all memory, MMIO and RDTSC; interrupts are on and their handlers run in ring 0. Port
// accesses, and so print(), exit_guest() and the I/O BAR of legacy virtio, go through the
// general-protection handler: they work and cost some 50 us each on a host that interprets ring 0. Other
// privileged instructions (HLT, CLI, MSRs, CR3) are a failure there.
#pragma once

#include "firmware/guests/runtime/clock.h"
#include "firmware/guests/runtime/interrupts.h"

namespace guest {

/// Runs `main` in ring 3 and exits the guest with what it returns. Boot processor only.
[[noreturn]] void run_user(u32 (*main)());

/// Spins, interrupts on, until `counter` is `wanted` or more; false when the time ran out first.
bool spin_for(const volatile u32& counter, u32 wanted, u32 microseconds_max);

/// Spins for so long.
void spin(u32 microseconds);

}  // namespace guest
