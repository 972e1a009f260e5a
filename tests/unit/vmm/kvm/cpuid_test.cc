// SPDX-License-Identifier: Apache-2.0
// Leaves and bits as in Intel SDM Vol. 2A "CPUID-CPU Identification", AMD APM Vol. 3 appendix E "Obtaining
// Processor Information Via the CPUID Instruction" and Linux Documentation/virt/kvm/x86/cpuid.rst "KVM CPUID
// bits".
#include "vmm/kvm/cpuid.h"

#include <memory>

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

constexpr u32 kX2Apic = 1U << 21;
constexpr u32 kTscDeadline = 1U << 24;
constexpr u32 kHypervisor = 1U << 31;
constexpr u32 kApic = 1U << 9;
constexpr u32 kHtt = 1U << 28;

kvm_cpuid_entry2& add(CpuidTable& table, u32 leaf, u32 subleaf = 0, bool has_subleaves = false) {
    return table.find_or_add(leaf, subleaf, has_subleaves);
}

/// The CPUID of an invented KVM, with the host's own topology still in it: APIC id 9, 12 CPUs.
std::unique_ptr<CpuidTable> host_table(bool is_intel_host) {
    auto table = std::make_unique<CpuidTable>();
    kvm_cpuid_entry2& vendor = add(*table, 0);
    vendor.eax = is_intel_host ? 0x1f : 0x10;
    vendor.ebx = is_intel_host ? 0x756e6547 : 0x68747541;  // "Genu", "Auth"
    kvm_cpuid_entry2& features = add(*table, 1);
    features.ebx = 0x090c'0800;
    features.ecx = kX2Apic;
    features.edx = kApic | kHtt;
    for (u32 i = 0; i < 4; ++i) {  // L1d, L1i, L2, L3, shared by two, two, two and sixteen
        kvm_cpuid_entry2& cache = add(*table, is_intel_host ? 4 : 0x8000'001d, i, true);
        const u32 level = i < 2 ? 1 : i;
        cache.eax = (i == 0 ? 1 : i == 1 ? 2 : 3) | level << 5 | (i == 3 ? 15U : 1U) << 14 | 7U << 26;
    }
    add(*table, 6).eax = 0;
    add(*table, 0xb, 0, true).edx = 9;
    add(*table, 0xb, 1, true).edx = 9;
    if (is_intel_host) {
        add(*table, 0x15);
        add(*table, 0x16);
        add(*table, 0x1f, 0, true).edx = 9;
    }
    add(*table, 0x4000'0000).eax = 0x4000'0001;
    add(*table, 0x4000'0001).eax = 0x0103'3efb;
    add(*table, 0x8000'0001).ecx = 1U << 1;
    add(*table, 0x8000'0007);
    if (!is_intel_host) {
        add(*table, 0x8000'0008).ecx = 0x400b;
        kvm_cpuid_entry2& node = add(*table, 0x8000'001e);
        node.eax = node.ebx = 9;
        node.ecx = 0x0300;
        add(*table, 0x8000'0026, 0, true).edx = 9;
    }
    return table;
}

std::unique_ptr<CpuidTable> guest_table(bool is_intel_host, const CpuidFacts& facts, u32 cpu_id = 0) {
    auto table = host_table(is_intel_host);
    make_guest_cpuid(*table, facts, cpu_id);
    return table;
}

u32 bits(u32 value, u32 low, u32 width) { return (value >> low) & ((u32{1} << width) - 1); }

}  // namespace

TEST_CASE("topology is right for 1, 4 and 64 CPUs, whatever the host's topology", "[cpuid]") {
    const struct {
        u32 cpus;
        u32 shift;
    } rows[] = {{1, 0}, {2, 1}, {3, 2}, {4, 2}, {64, 6}};
    for (const auto& row : rows) {
        for (const u32 id : {0U, row.cpus - 1}) {
            for (const bool is_intel_host : {true, false}) {
                const auto table = guest_table(is_intel_host, {.cpu_count = row.cpus}, id);
                CHECK(bits(table->find(1)->ebx, 24, 8) == id);
                CHECK(bits(table->find(1)->ebx, 16, 8) == (1U << row.shift));
                CHECK(((table->find(1)->edx & kHtt) != 0) == (row.cpus > 1));
                const kvm_cpuid_entry2* smt = table->find(0xb, 0);
                const kvm_cpuid_entry2* core = table->find(0xb, 1);
                const kvm_cpuid_entry2* end = table->find(0xb, 2);
                REQUIRE((smt != nullptr && core != nullptr && end != nullptr));
                CHECK((smt->eax == 0 && smt->ebx == 1 && smt->ecx == 0x100 && smt->edx == id));
                CHECK((core->eax == row.shift && core->ebx == row.cpus && core->ecx == 0x201 &&
                       core->edx == id));
                CHECK((end->ebx == 0 && bits(end->ecx, 8, 8) == 0 && end->edx == id));
                CHECK(table->find(0)->eax >= 0xb);
            }
        }
    }
}

TEST_CASE("caches of level 1 and 2 are a core's, level 3 is shared by all", "[cpuid]") {
    for (const u32 cpus : {1U, 4U, 64U}) {
        for (const bool is_intel_host : {true, false}) {
            const auto table = guest_table(is_intel_host, {.cpu_count = cpus});
            const u32 leaf = is_intel_host ? 4 : 0x8000'001d;
            for (u32 i = 0; i < 3; ++i) CHECK(bits(table->find(leaf, i)->eax, 14, 12) == 0);
            CHECK(bits(table->find(leaf, 3)->eax, 14, 12) == cpus - 1);
            if (is_intel_host) CHECK(bits(table->find(leaf, 0)->eax, 26, 6) == cpus - 1);
        }
    }
}

TEST_CASE("the V2 topology leaf says the same where the host has one, and is not invented", "[cpuid]") {
    for (const u32 cpus : {1U, 4U, 64U}) {
        const auto intel = guest_table(true, {.cpu_count = cpus}, cpus - 1);
        for (const u32 subleaf : {0U, 1U, 2U}) {
            const kvm_cpuid_entry2* one = intel->find(0xb, subleaf);
            const kvm_cpuid_entry2* two = intel->find(0x1f, subleaf);
            REQUIRE((one != nullptr && two != nullptr));
            CHECK((one->eax == two->eax && one->ebx == two->ebx && one->ecx == two->ecx));
            CHECK(two->edx == cpus - 1);
        }
    }
    CHECK(guest_table(false, {.cpu_count = 4})->find(0x1f) == nullptr);
}

TEST_CASE("AMD's own leaves agree with the number of CPUs", "[cpuid]") {
    const auto four = guest_table(false, {.cpu_count = 4}, 3);
    CHECK(bits(four->find(0x8000'0008)->ecx, 0, 8) == 3);
    CHECK(bits(four->find(0x8000'0008)->ecx, 12, 4) == 2);
    CHECK((four->find(0x8000'0001)->ecx & 2) != 0);
    CHECK(four->find(0x8000'001e)->eax == 3);
    CHECK(four->find(0x8000'001e)->ecx == 0);
    CHECK(four->find(0x8000'0026) == nullptr);
    const auto one = guest_table(false, {.cpu_count = 1});
    CHECK(bits(one->find(0x8000'0008)->ecx, 0, 8) == 0);
    CHECK((one->find(0x8000'0001)->ecx & 2) == 0);
}

TEST_CASE("a guest is told of its hypervisor, ARAT, and a TSC that does not change", "[cpuid]") {
    const auto table = guest_table(true, {.tsc_khz = 2'100'000});
    CHECK((table->find(1)->ecx & kHypervisor) != 0);
    CHECK((table->find(6)->eax & 4) != 0);
    CHECK((table->find(0x8000'0007)->edx & 0x100) != 0);
}

// Intel SDM Vol. 2A "CPUID-CPU Identification", "Feature Information Returned in the ECX Register".
TEST_CASE("MONITOR and MWAIT are not offered, whatever the host says", "[cpuid]") {
    constexpr u32 kMonitor = 1U << 3;
    for (const bool is_intel_host : {true, false}) {
        auto table = host_table(is_intel_host);
        table->find(1)->ecx |= kMonitor;
        make_guest_cpuid(*table, {}, 0);
        CHECK((table->find(1)->ecx & kMonitor) == 0);
    }
}

TEST_CASE("the TSC deadline is offered where KVM has it and a LAPIC is in the kernel", "[cpuid]") {
    CHECK((guest_table(true, {.has_tsc_deadline = true})->find(1)->ecx & kTscDeadline) != 0);
    CHECK((guest_table(true, {.has_tsc_deadline = false})->find(1)->ecx & kTscDeadline) == 0);
    const auto none = guest_table(true, {.has_kernel_apic = false, .has_tsc_deadline = true});
    CHECK((none->find(1)->ecx & kTscDeadline) == 0);
}

TEST_CASE("without irqchip the guest has no APIC and nothing that needs one", "[cpuid]") {
    const auto table = guest_table(true, {.has_kernel_apic = false});
    CHECK((table->find(1)->edx & kApic) == 0);
    CHECK((table->find(1)->ecx & kX2Apic) == 0);
    CHECK((table->find(6)->eax & 4) == 0);
    const auto with = guest_table(true, {.has_kernel_apic = true});
    CHECK((with->find(1)->edx & kApic) != 0);
    CHECK((with->find(1)->ecx & kX2Apic) != 0);
}

TEST_CASE("x2APIC is hidden where it would disable acceleration", "[cpuid]") {
    CHECK((guest_table(false, {.hide_x2apic = true})->find(1)->ecx & kX2Apic) == 0);
}

TEST_CASE("features that need hypercalls are not offered where hypercalls do not arrive", "[cpuid]") {
    constexpr u32 kSendIpi = 1U << 11;
    constexpr u32 kUnhalt = 1U << 7;
    constexpr u32 kYield = 1U << 13;
    constexpr u32 kClock = 1U << 3;
    constexpr u32 kPvEoi = 1U << 6;
    constexpr u32 kStealTime = 1U << 5;
    constexpr u32 kStable = 1U << 24;
    const u32 without = guest_table(true, {.has_hypercalls = false})->find(0x4000'0001)->eax;
    CHECK((without & (kSendIpi | kUnhalt | kYield)) == 0);
    CHECK((without & (kClock | kPvEoi | kStealTime | kStable)) == (kClock | kPvEoi | kStealTime | kStable));
    const u32 with = guest_table(true, {.has_hypercalls = true})->find(0x4000'0001)->eax;
    CHECK((with & (kSendIpi | kUnhalt | kYield)) == (kSendIpi | kUnhalt | kYield));
    CHECK((guest_table(true, {.has_hardware_ipi = true})->find(0x4000'0001)->eax & kSendIpi) == 0);
}

TEST_CASE("the timing leaf has the TSC's and the LAPIC's frequency, when known", "[cpuid]") {
    const auto table = guest_table(false, {.tsc_khz = 2'100'000});
    REQUIRE(table->find(0x4000'0010) != nullptr);
    CHECK(table->find(0x4000'0010)->eax == 2'100'000);
    CHECK(table->find(0x4000'0010)->ebx == 1'000'000);
    CHECK(table->find(0x4000'0000)->eax == 0x4000'0010);
    const auto unknown = guest_table(false, {.tsc_khz = 0});
    CHECK(unknown->find(0x4000'0010) == nullptr);
    CHECK(unknown->find(0x4000'0000)->eax == 0x4000'0001);
}

TEST_CASE("Intel's frequency leaves are filled where the host's are empty, and agree", "[cpuid]") {
    const auto table = guest_table(true, {.tsc_khz = 2'100'000});
    const kvm_cpuid_entry2* tsc = table->find(0x15);
    REQUIRE((tsc->eax != 0 && tsc->ebx != 0));
    CHECK(u64{tsc->ecx} * tsc->ebx / tsc->eax == u64{2'100'000} * 1000);
    // Base and maximum in MHz, and a bus of 100 MHz.
    const kvm_cpuid_entry2* cpu = table->find(0x16);
    CHECK((cpu->eax == 2100 && cpu->ebx == 2100 && cpu->ecx == 100));
    auto given = host_table(true);
    given->find(0x15)->eax = 2;
    given->find(0x15)->ebx = 168;
    make_guest_cpuid(*given, {.tsc_khz = 2'100'000}, 0);
    CHECK(given->find(0x15)->ebx == 168);
}

TEST_CASE("an almost empty table is handled", "[cpuid]") {
    CpuidTable table;
    make_guest_cpuid(table, {.cpu_count = 4, .tsc_khz = 1000}, 2);
    CHECK(table.find(0xb, 1)->edx == 2);
    CHECK(table.find(1) == nullptr);
}

TEST_CASE("leaves are found by subleaf only where they have subleaves", "[cpuid]") {
    const auto table = host_table(true);
    CHECK(table->find(1, 5) == table->find(1, 0));
    CHECK(table->find(4, 3) != table->find(4, 2));
    CHECK(table->find(4, 9) == nullptr);
    table->remove(4);
    CHECK(table->find(4, 0) == nullptr);
    CHECK(table->find(6) != nullptr);
    CHECK(is_intel(*table));
    CHECK_FALSE(is_intel(*host_table(false)));
}
