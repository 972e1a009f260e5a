// SPDX-License-Identifier: Apache-2.0
// The table of built-in guests.
#include "firmware/guests/builtin.h"

#include <array>

// images.S puts each ELF file between a pair of these.
#define MAYFLY_GUEST(name)                             \
    extern "C" const std::byte guest_##name##_begin[]; \
    extern "C" const std::byte guest_##name##_end[];
#define MAYFLY_PLAIN_GUEST MAYFLY_GUEST
#include "firmware/guests/guests.inc"
#undef MAYFLY_GUEST

namespace mayfly {
namespace {

struct Image {
    std::string_view name;
    const std::byte* begin;
    const std::byte* end;
};

constexpr Image kImages[] = {
#define MAYFLY_GUEST(name) {#name, guest_##name##_begin, guest_##name##_end},
#include "firmware/guests/guests.inc"
#undef MAYFLY_GUEST
};

constexpr BuiltinGuest kGuests[] = {
    {.name = "hello", .description = "prints one line and exits with 0"},
    {.name = "demo",
     .description = "proves processors, timers, interrupts and clocks, a line for each",
     .needs_test_device = true},
    {.name = "apic", .description = "local APIC in xAPIC and x2APIC mode"},
    {.name = "timer", .description = "local APIC timer: one-shot, periodic, TSC deadline"},
    {.name = "ipi", .description = "processor start-up and interrupts between processors", .cpus = 4},
    {.name = "smp", .description = "all processors start and count together", .cpus = 4},
    {.name = "msi",
     .description = "message-signalled interrupts by KVM_SIGNAL_MSI and irqfd",
     .needs_test_device = true},
    {.name = "doorbell",
     .description = "ioeventfd to irqfd without user space, coalesced port writes",
     .needs_test_device = true},
    {.name = "ioapic",
     .description = "IOAPIC edge and level pins",
     .profile = "legacy",
     .needs_test_device = true},
    {.name = "pic",
     .description = "both 8259s through LINT0",
     .profile = "legacy",
     .needs_test_device = true},
    {.name = "pit", .description = "8254 channels 0 and 2, port 0x61", .profile = "legacy"},
    {.name = "irqwindow",
     .description = "8259s in user space and the interrupt window",
     .profile = "legacy",
     .irqchip = "none",
     .needs_test_device = true},
    {.name = "pveoi", .description = "interrupts acknowledged without an EOI write"},
    {.name = "kvmclock", .description = "paravirtual clock against CPUID 0x40000010"},
    {.name = "steal", .description = "steal time"},
    {.name = "exits",
     .description = "ends as the command line says: exit=N, poweroff, reset, triple and more"},
    {.name = "flood", .description = "64 KiB of a pattern on the serial port"},
    {.name = "echo", .description = "echoes serial input until q", .ends_by_itself = false},
    {.name = "hostile", .description = "pseudo-random port and MMIO accesses, seed=N count=N"},
    {.name = "memory", .description = "walks the memory map and touches its ends"},
    {.name = "bootinfo", .description = "prints protocol, command line and modules"},
    {.name = "speed", .description = "times 1000 instructions in ring 0"},
    {.name = "pciprobe", .description = "PCI functions, BARs and MSI-X; readonly=1 only looks"},
    {.name = "iobench",
     .description = "measures a disk or a network: dev=blk|net op= size= depth= count= and more"},
    {.name = "idle",
     .description = "halts forever, or spins in ring 3 with the word spin",
     .ends_by_itself = false},
};

static_assert(std::size(kGuests) == std::size(kImages));

}  // namespace

std::span<const BuiltinGuest> builtin_guests() { return kGuests; }

std::span<const std::byte> find_builtin_guest(std::string_view name) {
    for (const Image& image : kImages) {
        if (image.name == name) return {image.begin, image.end};
    }
    return {};
}

}  // namespace mayfly
