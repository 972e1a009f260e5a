// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/boot/boot_state.h"

#include "firmware/layout.h"

namespace mayfly {

namespace {

// Intel SDM Vol. 3A §2.5 "Control Registers", §2.2.1 "Extended Feature Enable Register".
constexpr u64 kCr0Pe = 1;
constexpr u64 kCr0Et = 1 << 4;
constexpr u64 kCr0Ne = 1 << 5;
constexpr u64 kCr0Wp = 1 << 16;
constexpr u64 kCr0Pg = u64{1} << 31;
constexpr u64 kCr4Pae = 1 << 5;
constexpr u64 kEferLme = 1 << 8;
constexpr u64 kEferLma = 1 << 10;
constexpr u64 kFlagsReserved = 1 << 1;

// Intel SDM Vol. 3A §3.4.5 "Segment Descriptors": type field with the accessed bit set, as after a load.
constexpr u8 kTypeCode = 0xb;
constexpr u8 kTypeData = 0x3;
constexpr u8 kTypeTss = 0xb;
constexpr u16 kSelectorCode = 0x10;
constexpr u16 kSelectorData = 0x18;
constexpr u16 kSelectorTss = 0x20;

// Intel SDM Vol. 4 table 2-2 "IA-32 Architectural MSRs".
constexpr u32 kMsrMiscEnable = 0x1a0;
constexpr u64 kMiscEnableFastStrings = 1;
constexpr u32 kMsrMtrrDefType = 0x2ff;
constexpr u64 kMtrrEnableWriteBack = 1 << 11 | 6;

kvm_segment flat_segment(u16 selector, u8 type, bool is_long_code) {
    kvm_segment segment{};
    segment.limit = 0xffff'ffff;
    segment.selector = selector;
    segment.type = type;
    segment.present = 1;
    segment.s = 1;
    segment.g = 1;
    segment.db = is_long_code ? 0 : 1;
    segment.l = is_long_code ? 1 : 0;
    return segment;
}

}  // namespace

kvm_regs entry_regs(const EntryState& entry) {
    kvm_regs regs{};
    regs.rip = entry.rip;
    regs.rsp = entry.rsp;
    regs.rax = entry.rax;
    regs.rbx = entry.rbx;
    regs.rsi = entry.rsi;
    regs.rflags = kFlagsReserved;
    return regs;
}

void apply_entry_mode(const EntryState& entry, kvm_sregs& sregs) {
    const bool is_long = entry.mode == CpuMode::Long64;
    sregs.cs = flat_segment(kSelectorCode, kTypeCode, is_long);
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat_segment(kSelectorData, kTypeData, false);
    sregs.tr = kvm_segment{};
    sregs.tr.limit = 0x67;
    sregs.tr.selector = kSelectorTss;
    sregs.tr.type = kTypeTss;
    sregs.tr.present = 1;
    sregs.gdt.base = entry.gdt.value;
    sregs.gdt.limit = static_cast<u16>(layout::kGdtBytes - 1);
    sregs.idt.base = 0;
    sregs.idt.limit = 0;
    sregs.cr0 = kCr0Pe | kCr0Et | kCr0Ne;
    if (!is_long) return;
    sregs.cr0 |= kCr0Pg | kCr0Wp;
    sregs.cr3 = entry.page_tables.value;
    sregs.cr4 = kCr4Pae;
    sregs.efer = kEferLme | kEferLma;
}

CpuidFacts cpuid_facts(u32 cpu_count, Irqchip irqchip, const HostKind& host, bool has_tsc_deadline) {
    return {.cpu_count = cpu_count,
            .tsc_khz = 0,
            .has_kernel_apic = irqchip != Irqchip::None,
            .has_tsc_deadline = has_tsc_deadline,
            .has_hypercalls = host.has_hypercalls,
            .has_hardware_ipi = host.has_hardware_ipi,
            .hide_x2apic = host.hide_x2apic};
}

std::array<kvm_msr_entry, 2> entry_msrs() {
    // Write-back as the default type: KVM and guests take an unprogrammed MTRR for uncached memory.
    // KVM stops at the first MSR that it refuses, so the important one is first.
    return {kvm_msr_entry{.index = kMsrMtrrDefType, .reserved = 0, .data = kMtrrEnableWriteBack},
            kvm_msr_entry{.index = kMsrMiscEnable, .reserved = 0, .data = kMiscEnableFastStrings}};
}

}  // namespace mayfly
