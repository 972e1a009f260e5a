// SPDX-License-Identifier: Apache-2.0
// KVM's paravirtual MSRs and the structures they share with the guest.
//
// Spec: Linux Documentation/virt/kvm/x86/msr.rst "KVM-specific MSRs" and cpuid.rst "KVM CPUID
// bits".
#pragma once

#include "firmware/guests/runtime/apic.h"
#include "firmware/guests/runtime/report.h"

namespace guest::paravirt {

constexpr u32 kWallClockMsr = 0x4b56'4d00;
constexpr u32 kSystemTimeMsr = 0x4b56'4d01;
constexpr u32 kStealTimeMsr = 0x4b56'4d03;
constexpr u32 kEoiMsr = 0x4b56'4d04;

// CPUID 0x40000001 EAX.
constexpr u32 kFeatureClock = 1 << 3;
constexpr u32 kFeatureStealTime = 1 << 5;
constexpr u32 kFeatureEoi = 1 << 6;
constexpr u32 kFeatureClockStable = 1 << 24;

inline u32 features() {
    if (cpuid(0x4000'0000, 0).eax < 0x4000'0001) return 0;
    return cpuid(0x4000'0001, 0).eax;
}

struct WallClock {
    volatile u32 version;
    volatile u32 seconds;
    volatile u32 nanoseconds;
};

struct SystemTime {
    volatile u32 version;
    u32 reserved;
    volatile u64 tsc_timestamp;
    volatile u64 system_time_ns;
    volatile u32 tsc_to_system_mul;
    volatile signed char tsc_shift;
    volatile u8 flags;
    u8 reserved_tail[2];
};
static_assert(sizeof(SystemTime) == 32);
constexpr u8 kTscStable = 1;

struct StealTime {
    volatile u64 steal_ns;
    volatile u32 version;
    volatile u32 flags;
    u8 preempted;
    u8 reserved[47];
};
static_assert(sizeof(StealTime) == 64);

/// A consistent copy's time and frequency. The host makes the version odd while it writes.
struct ClockReading {
    u64 time_ns;
    u64 tsc_khz;
    u32 version;
    bool is_stable;
};

inline ClockReading read_clock(const SystemTime& shared) {
    ClockReading result{};
    for (;;) {
        result.version = shared.version;
        if ((result.version & 1) != 0) continue;
        const auto shift = shared.tsc_shift;
        const u64 mul = shared.tsc_to_system_mul;
        result.is_stable = (shared.flags & kTscStable) != 0;
        u64 ticks = read_tsc() - shared.tsc_timestamp;
        ticks = shift < 0 ? ticks >> -shift : ticks << shift;
        // The high half of the 128-bit product, less 32 bits: mul is a fraction of 2^32.
        result.time_ns = shared.system_time_ns + ((ticks >> 32) * mul + ((ticks & 0xffff'ffff) * mul >> 32));
        if (shared.version != result.version) continue;
        if (mul == 0) return result;
        const u64 khz = (u64{1'000'000} << 32) / mul;
        result.tsc_khz = shift < 0 ? khz << -shift : khz >> shift;
        return result;
    }
}

/// PV EOI: bit 0 set by the host says that clearing it is all the EOI that is needed.
struct EoiCounts {
    volatile u32 interrupts;
    volatile u32 skipped;     ///< acknowledged by clearing the bit
    volatile u32 in_service;  ///< of the others: those whose bit of ISR was set in their handler
};
extern EoiCounts eoi_counts;

/// The reason why an exercise skipped no EOI: three kinds of hosts leave PV EOI off.
[[nodiscard]] Text why_not_armed();

/// Switches PV EOI on and takes `count` self-IPIs through a handler that uses it.
void exercise_eoi(u32 count);

}  // namespace guest::paravirt
