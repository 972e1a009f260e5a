// SPDX-License-Identifier: Apache-2.0
// The MP table: processors and interrupt wiring for kernels that predate ACPI or are built without it.
//
// Describes the PC shape only: one ISA bus, perhaps a PCI bus, one IOAPIC with the PIT on pin 2, two 8259 in
// virtual wire mode through the first processor's LINT0. The floating pointer is at layout::kMpTable, where
// kernels scan. Thread: any, before the guest runs. Spec: MultiProcessor Specification 1.4 §4 "MP
// Configuration Table".
#pragma once

#include <array>
#include <optional>

#include "vmm/error/result.h"
#include "vmm/memory/guest_memory.h"

namespace mayfly {

struct MpTableOptions {
    u32 cpu_count = 1;  ///< processor n has local APIC id n; the first is the bootstrap processor
    /// CPUID leaf 1: EAX bits 11:0 (stepping, model, family) and EDX.
    u32 cpu_signature = 0;
    u32 cpu_features = 0;
    /// A PCI bus whose INTA# of even and odd device numbers reaches these pins of the IOAPIC.
    std::optional<std::array<u8, 2>> pci_intx = {};
};

/// Errors: more processors than eight-bit APIC ids.
Result<void> write_mptable(const GuestMemory& memory, const MpTableOptions& options);

}  // namespace mayfly
