// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/boot/boot_state.h"

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

// Intel SDM Vol. 3A §2.5 "Control Registers" and §2.2.1 "Extended Feature Enable Register".
constexpr u64 kPe = 1;
constexpr u64 kPg = u64{1} << 31;
constexpr u64 kPae = 1 << 5;
constexpr u64 kLmeAndLma = 1 << 8 | 1 << 10;

EntryState entry_in(CpuMode mode) {
    EntryState entry{};
    entry.mode = mode;
    entry.rip = 0x10'0000;
    entry.rsi = 0x7000;
    entry.rbx = 0x1234;
    entry.page_tables = Gpa{0x9000};
    entry.gdt = Gpa{0x500};
    return entry;
}

}  // namespace

TEST_CASE("registers are as the protocol promises, with interrupts off", "[boot_state]") {
    const kvm_regs regs = entry_regs(entry_in(CpuMode::Long64));
    CHECK(regs.rip == 0x10'0000);
    CHECK(regs.rsi == 0x7000);
    CHECK(regs.rbx == 0x1234);
    CHECK(regs.rflags == 2);  // the bit that is always set; IF is not
}

TEST_CASE("a 64-bit entry is in long mode with paging, a 32-bit one protected and flat", "[boot_state]") {
    kvm_sregs sregs{};
    sregs.apic_base = 0xfee0'0900;
    apply_entry_mode(entry_in(CpuMode::Long64), sregs);
    CHECK((sregs.cr0 & (kPe | kPg)) == (kPe | kPg));
    CHECK((sregs.cr4 & kPae) != 0);
    CHECK((sregs.efer & kLmeAndLma) == kLmeAndLma);
    CHECK(sregs.cr3 == 0x9000);
    CHECK(sregs.cs.l == 1);
    CHECK(sregs.cs.db == 0);
    CHECK(sregs.gdt.base == 0x500);
    CHECK(sregs.apic_base == 0xfee0'0900);

    kvm_sregs flat{};
    apply_entry_mode(entry_in(CpuMode::Protected32), flat);
    CHECK((flat.cr0 & (kPe | kPg)) == kPe);
    CHECK(flat.efer == 0);
    CHECK(flat.cs.l == 0);
    CHECK(flat.cs.db == 1);
    CHECK(flat.cs.limit == 0xffff'ffff);
    CHECK(flat.ss.base == 0);
}

TEST_CASE("CPUID depends on the irqchip and on the host's features", "[boot_state]") {
    HostKind host;
    host.has_hypercalls = false;
    host.has_hardware_ipi = true;
    host.hide_x2apic = true;
    const CpuidFacts facts = cpuid_facts(4, Irqchip::Split, host, true);
    CHECK(facts.cpu_count == 4);
    CHECK(facts.has_kernel_apic);
    CHECK(facts.has_tsc_deadline);
    CHECK_FALSE(facts.has_hypercalls);
    CHECK(facts.has_hardware_ipi);
    CHECK(facts.hide_x2apic);
    CHECK(cpuid_facts(1, Irqchip::Full, {}, false).has_kernel_apic);
    CHECK_FALSE(cpuid_facts(1, Irqchip::None, {}, false).has_kernel_apic);
}

TEST_CASE("memory is write-back before the guest programs a range", "[boot_state]") {
    const std::array<kvm_msr_entry, 2> msrs = entry_msrs();
    CHECK(msrs[0].index == 0x2ff);
    CHECK(msrs[0].data == (1 << 11 | 6));
    CHECK(msrs[1].index == 0x1a0);
    CHECK((msrs[1].data & 1) == 1);
}
