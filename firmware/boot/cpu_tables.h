// SPDX-License-Identifier: Apache-2.0
// The processor's own structures in memory: GDT and page tables to start in one of EntryState's modes, and
// code that resets the machine, for a guest that reboots by a jump to the BIOS.
//
// Thread: one thread, before any vCPU runs.
#pragma once

#include "firmware/boot/entry_state.h"
#include "firmware/boot/occupancy.h"
#include "vmm/memory/guest_memory.h"

namespace mayfly {

/// Selectors of the boot GDT, as the Linux and PVH protocols require.
constexpr u16 kBootCodeSelector = 0x10;
constexpr u16 kBootDataSelector = 0x18;
constexpr u16 kBootTssSelector = 0x20;

/// Writes a GDT and, for Long64, identity page tables for 0-4 GiB, where the kernel leaves room; a reset at
/// layout::kResetVector. \returns an entry with these and a stack. Errors: Invalid where guest RAM lacks the
/// room.
Result<EntryState> prepare_cpu(const GuestMemory& memory, Occupancy& occupancy, CpuMode mode);

}  // namespace mayfly
