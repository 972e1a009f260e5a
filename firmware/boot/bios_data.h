// SPDX-License-Identifier: Apache-2.0
// The content that a PC's firmware leaves in the first page for kernels: interrupt vectors, the BIOS data
// area, and the size of the extended BIOS data area.
//
// The machine lacks a BIOS: each vector leads to code that returns with the carry flag set, by which BIOS
// calls say that they do not know the function. Thread: one thread, before any vCPU runs.
// Spec: IBM PS/2 and PC BIOS Interface Technical Reference (1991), "Data Areas".
#pragma once

#include "vmm/memory/guest_memory.h"

namespace mayfly {

/// Before the kernel is loaded, which may lie over it. Guest RAM has the first megabyte (VERIFY).
void write_bios_data(const GuestMemory& memory);

}  // namespace mayfly
