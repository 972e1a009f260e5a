// SPDX-License-Identifier: Apache-2.0
// registers: sets registers that no other guest tests, and checks for `ms=` milliseconds that they keep their
// values. In ring 0 the debug registers, CR2, CR8 and the MSRs of system calls; with `vector`, in ring 3,
// XMM0 to XMM15 and MXCSR; with `deadline`, in ring 0, whether each of many TSC deadlines fires, and when.
// With `halt` it halts forever; with `level`, on the legacy machine with the test device, whether a line that
// stays high interrupts again and again; with `base` and `id`, whether interrupts come to an APIC that the
// guest has moved, or given another id, and with `self` to one that it left alone.
#include "firmware/guests/runtime/apic.h"
#include "firmware/guests/runtime/boot_info.h"
#include "firmware/guests/runtime/clock.h"
#include "firmware/guests/runtime/cpu.h"
#include "firmware/guests/runtime/legacy.h"
#include "firmware/guests/runtime/report.h"
#include "firmware/guests/runtime/test_device.h"
#include "firmware/guests/runtime/user.h"

namespace guest {
namespace {

constexpr u64 kDefaultMilliseconds = 200;
constexpr u64 kPattern = 0x0000'1234'5678'9000;  // canonical, and in steps of a page

struct NamedMsr {
    Text name;
    u32 index;
    u64 value;
};
constexpr NamedMsr kMsrs[] = {
    {"SYSENTER_CS", 0x174, 0x8},           {"SYSENTER_ESP", 0x175, kPattern + 1},
    {"SYSENTER_EIP", 0x176, kPattern + 2}, {"STAR", 0xc0000081, 0x0023'0010'0000'0000},
    {"LSTAR", 0xc0000082, kPattern + 3},   {"CSTAR", 0xc0000083, kPattern + 4},
    {"FMASK", 0xc0000084, 0x4'7700},       {"FS_BASE", 0xc0000100, kPattern + 5},
    {"GS_BASE", 0xc0000101, kPattern + 6}, {"KERNEL_GS_BASE", 0xc0000102, kPattern + 7},
};
constexpr u64 kDebug[] = {kPattern + 8, kPattern + 9, kPattern + 10, kPattern + 11};
constexpr u64 kCr2 = kPattern + 12;
constexpr u64 kCr8 = 5;

constexpr u32 kVectors = 16;
constexpr u32 kMxcsr = 0x7f80;  // rounds towards zero, all exceptions masked
alignas(16) constinit u64 vectors[kVectors * 2];

u64 end_of_look() { return read_tsc() + tsc_ticks(1) * 1000 * option_value("ms", kDefaultMilliseconds); }

void set_system_registers() {
    for (const NamedMsr& msr : kMsrs) write_msr(msr.index, msr.value);
    asm volatile("mov %0, %%dr0" ::"r"(kDebug[0]));
    asm volatile("mov %0, %%dr1" ::"r"(kDebug[1]));
    asm volatile("mov %0, %%dr2" ::"r"(kDebug[2]));
    asm volatile("mov %0, %%dr3" ::"r"(kDebug[3]));
    asm volatile("mov %0, %%cr2" ::"r"(kCr2));
    asm volatile("mov %0, %%cr8" ::"r"(kCr8));
}

void check_system_registers() {
    for (const NamedMsr& msr : kMsrs)
        if (read_msr(msr.index) != msr.value) expect_equal(msr.name, msr.value, read_msr(msr.index));
    u64 debug[4];
    asm volatile("mov %%dr0, %0" : "=r"(debug[0]));
    asm volatile("mov %%dr1, %0" : "=r"(debug[1]));
    asm volatile("mov %%dr2, %0" : "=r"(debug[2]));
    asm volatile("mov %%dr3, %0" : "=r"(debug[3]));
    for (u32 n = 0; n < 4; ++n)
        if (debug[n] != kDebug[n]) expect_equal("a debug register", kDebug[n], debug[n]);
    u64 value;
    asm volatile("mov %%cr2, %0" : "=r"(value));
    if (value != kCr2) expect_equal("CR2", kCr2, value);
    asm volatile("mov %%cr8, %0" : "=r"(value));
    if (value != kCr8) expect_equal("CR8", kCr8, value);
}

u64 vector_word(u32 n) { return 0x0101'0101'0101'0101 * (n + 1); }

#define EACH_VECTOR(DO) \
    DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14) DO(15)
#define LOAD(n) "movups " #n "*16(%0), %%xmm" #n "\n"
#define STORE(n) "movups %%xmm" #n ", " #n "*16(%0)\n"

u32 keep_vectors() {
    for (u32 n = 0; n < kVectors * 2; ++n) vectors[n] = vector_word(n);
    const u32 mxcsr = kMxcsr;
    asm volatile(EACH_VECTOR(LOAD) "ldmxcsr %1" ::"r"(vectors), "m"(mxcsr) : "memory");
    const u64 end = end_of_look();
    while (read_tsc() < end && failure_count() == 0) {
        for (u64& word : vectors) word = 0;
        u32 control = 0;
        asm volatile(EACH_VECTOR(STORE) "stmxcsr (%1)" : : "r"(vectors), "r"(&control) : "memory");
        for (u32 n = 0; n < kVectors * 2; ++n)
            if (vectors[n] != vector_word(n)) expect_equal("a vector register", vector_word(n), vectors[n]);
        if (control != kMxcsr) expect_equal("MXCSR", kMxcsr, control);
    }
    expect("vector registers", failure_count() == 0);
    return failure_count();
}

constexpr u8 kTimerVector = 0x31;
constexpr u32 kDeadlineMicroseconds = 15'000;
constinit volatile u32 fired = 0;

void keep_deadlines() {
    set_gate(kTimerVector, apic::count_interrupt<fired>);
    apic::enable();
    enable_interrupts();
    apic::write(apic::Register::TimerEntry, kTimerVector | apic::kTimerDeadline);
    const u64 end = end_of_look();
    for (u32 n = 1; read_tsc() < end && failure_count() == 0; ++n) {
        const u64 deadline = read_tsc() + tsc_ticks(kDeadlineMicroseconds);
        write_msr(apic::kDeadlineMsr, deadline);
        if (!poll_for(fired, n, kArrivalMicroseconds)) fail("a deadline's interrupt did not come");
        if (read_tsc() < deadline) fail("it came before the deadline");
    }
    expect("deadlines", failure_count() == 0);
}

/// Above the legacy machine's HPET, in the hole below 4 GiB of every machine: nothing is there.
constexpr u64 kOtherBase = 0xfedf'0000;
constexpr u8 kOtherId = 5;
constexpr u32 kSelfIpis = 100;

/// KVM switches APICv off for an APIC at another address, or with another id. Interrupts arrive all the same.
void take_self_ipis() {
    set_gate(kTimerVector, apic::count_interrupt<fired>);
    if (has_option("base")) {
        // In x2APIC mode, where no access uses the address.
        apic::enable();
        write_msr(apic::kBaseMsr, kOtherBase | apic::kBaseEnabled | apic::kBaseX2Apic | 1 << 8);
    } else {
        apic::enable_in(false);
        if (has_option("id")) apic::write(apic::Register::Id, u32{kOtherId} << 24);
    }
    for (u32 n = 1; n <= kSelfIpis; ++n) {
        apic::send_ipi(0, apic::kIcrFixed | apic::kIcrSelf | kTimerVector);
        if (!poll_for(fired, n, kArrivalMicroseconds)) break;
    }
    expect_equal("self ipis", kSelfIpis, fired);
}

constexpr u16 kLevelPin = 11;

void keep_level() {
    test_device::require();
    set_gate(kSecondPinVector, apic::count_interrupt<fired>);
    pic::initialize(kPicVector);
    apic::enable();
    ioapic::write_pin(kLevelPin, kSecondPinVector | ioapic::kLevel);
    test_device::set_line(kLevelPin, true);
    enable_interrupts();
    const u64 end = end_of_look();
    while (read_tsc() < end && failure_count() == 0) {
        if (!poll_for(fired, fired + 1, kArrivalMicroseconds)) fail("a line that is high interrupts no more");
    }
    test_device::set_line(kLevelPin, false);
    expect("a level", failure_count() == 0);
}

void allow_vectors() {
    constexpr u64 kCr0Emulation = 1 << 2;
    constexpr u64 kCr4OsFxsr = 1 << 9;
    u64 value;
    asm volatile("mov %%cr0, %0" : "=r"(value));
    asm volatile("mov %0, %%cr0" ::"r"(value & ~kCr0Emulation));
    asm volatile("mov %%cr4, %0" : "=r"(value));
    asm volatile("mov %0, %%cr4" ::"r"(value | kCr4OsFxsr));
}

}  // namespace
}  // namespace guest

extern "C" guest::u32 guest_main() {
    using namespace guest;
    if (has_option("vector")) {
        allow_vectors();
        run_user(keep_vectors);
    }
    if (has_option("halt")) {
        halt_with_interrupts();
        fail("HLT ended without an interrupt");
        return failure_count();
    }
    if (has_option("base") || has_option("id") || has_option("self")) {
        take_self_ipis();
        return failure_count();
    }
    if (has_option("level")) {
        keep_level();
        return failure_count();
    }
    if (has_option("deadline")) {
        keep_deadlines();
        return failure_count();
    }
    set_system_registers();
    const u64 end = end_of_look();
    while (read_tsc() < end && failure_count() == 0) check_system_registers();
    expect("system registers", failure_count() == 0);
    return failure_count();
}
