// SPDX-License-Identifier: Apache-2.0
// boot_tables: the content of ACPI and the MP table for the planned machine.
//
// Thread: one thread, before any vCPU runs.
#pragma once

#include "firmware/tables/acpi.h"
#include "firmware/tables/mptable.h"
#include "vmm/machine/boot/machine_plan.h"

namespace mayfly {

/// `slots` outlives the options.
[[nodiscard]] AcpiOptions acpi_options(const MachinePlan& plan, std::span<const VirtioMmioSlot> slots);
/// Empty: this machine has none.
[[nodiscard]] std::optional<MpTableOptions> mptable_options(const MachinePlan& plan);

/// Writes them, and returns where the RSDP is; 0 for a machine without tables. Errors: more processors than
/// the tables hold.
Result<Gpa> write_boot_tables(const MachinePlan& plan, const GuestMemory& memory);

}  // namespace mayfly
