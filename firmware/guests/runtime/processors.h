// SPDX-License-Identifier: Apache-2.0
// Application processors: how many there should be, and starting them all at once.
#pragma once

#include "firmware/guests/runtime/interrupts.h"

namespace guest {

constexpr u32 kProcessorsMax = 64;

/// `cpus=N` of the command line, else what CPUID's topology leaves say.
[[nodiscard]] u32 processors_expected();

/// What each application processor does once its APIC is on; it halts when this returns.
using ProcessorMain = void (*)(u32 apic_id);

/// INIT and start-up IPI to all but self, then waits until `expected` processors run, this one
/// included. Returns how many do. The APIC of the caller must be enabled.
u32 start_processors(u32 expected, ProcessorMain main);

/// HLT with interrupts on, forever.
[[noreturn]] void serve_interrupts();

}  // namespace guest
