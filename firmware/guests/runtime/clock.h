// SPDX-License-Identifier: Apache-2.0
// Frequencies as the hypervisor tells them, and bounded waiting.
#pragma once

#include "firmware/guests/runtime/cpu.h"

namespace guest {

/// CPUID 0x40000010, the VMware timing leaf that KVM monitors publish: EAX TSC kHz, EBX APIC bus
/// kHz. Zeroes where the hypervisor has no such leaf.
struct HostFrequencies {
    u32 tsc_khz;
    u32 apic_khz;
};
[[nodiscard]] HostFrequencies host_frequencies();

/// The TSC's frequency: `tsc_khz=N` of the command line, else the leaf's, else kvmclock's; 0 without any of
/// them. The first call must come from ring 0.
[[nodiscard]] u32 tsc_khz();

/// TSC ticks in so many microseconds; without the leaf, of an assumed 3 GHz.
[[nodiscard]] u64 tsc_ticks(u32 microseconds);
/// APIC timer ticks; without the leaf, of KVM's default of 1 GHz.
[[nodiscard]] u32 apic_ticks(u32 microseconds);

/// Long enough for an expected event, however busy the host is.
constexpr u32 kArrivalMicroseconds = 10'000'000;

// Waiting has to leave the guest: hosts that interpret ring 0 look for interrupts only when the
// guest exits or after about a thousand instructions. Every function here leaves interrupts
// disabled.

/// Halts until interrupts have brought `counter` to `wanted`; false when the time ran out first.
/// Takes the APIC timer as its alarm.
bool halt_for(const volatile u32& counter, u32 wanted, u32 microseconds_max);

/// The same without halting and without the APIC: reads the UART's line status in a loop,
/// interrupts enabled.
bool poll_for(const volatile u32& counter, u32 wanted, u32 microseconds_max);

/// Lets interrupts in for so long, and at least once.
void listen_for(u32 microseconds);

/// One access to a port that needs the monitor: an exit, at which the host does work that it has put off.
inline void visit_host() { in8(kSerialPort + 5); }

}  // namespace guest
