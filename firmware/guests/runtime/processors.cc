// SPDX-License-Identifier: Apache-2.0
// Application processor start-up.
// Spec: Intel SDM volume 3 section "MP Initialization Protocol Algorithm for MP Systems".
#include "firmware/guests/runtime/processors.h"

#include "firmware/guests/runtime/apic.h"
#include "firmware/guests/runtime/boot_info.h"
#include "firmware/guests/runtime/clock.h"

namespace guest {

extern "C" {
extern const u8 processor_trampoline[];
extern const u8 processor_trampoline_end[];
void on_processor_start(u32 apic_id);
}

namespace {

/// A page of conventional memory that no boot protocol here puts anything into.
constexpr u64 kTrampoline = 0x6'0000;

constinit volatile u32 processors_running = 1;
constinit ProcessorMain processor_main = nullptr;

}  // namespace

u32 processors_expected() {
    const u32 named = static_cast<u32>(option_value("cpus", 0));
    if (named != 0) return named;
    if (cpuid(0, 0).eax >= 0xb) {
        // Subleaf 1 is the core level: logical processors in the package.
        const u32 count = cpuid(0xb, 1).ebx & 0xffff;
        if (count != 0) return count;
    }
    const CpuidLeaf leaf = cpuid(1, 0);
    const bool has_threads = (leaf.edx & 1U << 28) != 0;
    return has_threads ? leaf.ebx >> 16 & 0xff : 1;
}

void on_processor_start(u32 apic_id) {
    apic::enable_in(apic::is_x2apic);
    asm volatile("lock incl %0" : "+m"(processors_running) : : "memory");
    processor_main(apic_id);
}

u32 start_processors(u32 expected, ProcessorMain main) {
    if (expected < 2) return processors_running;
    processor_main = main;
    // SAFETY: kTrampoline is RAM in every machine that a guest of ours is made for.
    auto* to = reinterpret_cast<u8*>(kTrampoline);
    const u8* from = processor_trampoline;
    u64 count = static_cast<u64>(processor_trampoline_end - processor_trampoline);
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
    apic::send_ipi(0, apic::kIcrInit | apic::kIcrAllButSelf);
    apic::send_ipi(0, apic::kIcrStartUp | apic::kIcrAllButSelf | kTrampoline >> 12);
    poll_for(processors_running, expected, kArrivalMicroseconds);
    return processors_running;
}

void serve_interrupts() {
    for (;;) halt_with_interrupts();
}

}  // namespace guest
