// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/cpuid.h"

#include <algorithm>
#include <array>
#include <bit>

#include "vmm/error/verify.h"
#include "vmm/kvm/cpuid_spec.h"

namespace mayfly {

namespace {

/// KVM's default LAPIC bus period is 1 ns (KVM_CAP_X86_APIC_BUS_CYCLES_NS).
constexpr u32 kApicBusKhz = 1'000'000;

enum class Register : u8 { Eax, Ebx, Ecx, Edx };

using Condition = bool (*)(const CpuidFacts&);

/// Clears, then sets, bits of one register in every subleaf of a leaf that KVM supports.
struct Filter {
    std::string_view name;
    u32 leaf;
    Register reg;
    u32 clear;
    u32 set;
    Condition applies;
};

constexpr bool always(const CpuidFacts&) { return true; }
constexpr bool no_hypercalls(const CpuidFacts& facts) { return !facts.has_hypercalls; }
constexpr bool hardware_ipi(const CpuidFacts& facts) { return facts.has_hardware_ipi; }
constexpr bool no_apic(const CpuidFacts& facts) { return !facts.has_kernel_apic; }
constexpr bool no_x2apic(const CpuidFacts& facts) { return facts.hide_x2apic || !facts.has_kernel_apic; }
constexpr bool deadline(const CpuidFacts& facts) { return facts.has_tsc_deadline && facts.has_kernel_apic; }
constexpr bool apic(const CpuidFacts& facts) { return facts.has_kernel_apic; }
constexpr bool single(const CpuidFacts& facts) { return facts.cpu_count == 1; }
constexpr bool several(const CpuidFacts& facts) { return facts.cpu_count > 1; }

constexpr u32 kHypercallFeatures = cpuid::KVM_FEATURES_EAX_PV_UNHALT | cpuid::KVM_FEATURES_EAX_PV_SEND_IPI |
                                   cpuid::KVM_FEATURES_EAX_PV_SCHED_YIELD |
                                   cpuid::KVM_FEATURES_EAX_HC_MAP_GPA_RANGE |
                                   cpuid::KVM_FEATURES_EAX_MIGRATION_CONTROL;

constexpr u32 kApicFeatures = cpuid::KVM_FEATURES_EAX_ASYNC_PF | cpuid::KVM_FEATURES_EAX_PV_EOI |
                              cpuid::KVM_FEATURES_EAX_PV_UNHALT | cpuid::KVM_FEATURES_EAX_ASYNC_PF_VMEXIT |
                              cpuid::KVM_FEATURES_EAX_PV_SEND_IPI | cpuid::KVM_FEATURES_EAX_ASYNC_PF_INT;

constexpr std::array kFilters{
    // Guests look for the leaves at 0x40000000 only when this is set.
    Filter{"hypervisor-present", cpuid::FEATURES, Register::Ecx, 0, cpuid::FEATURES_ECX_HYPERVISOR, always},
    // A guest's MWAIT leaves it and does nothing: an idle loop of it would never sleep.
    Filter{"no-monitor", cpuid::FEATURES, Register::Ecx, cpuid::FEATURES_ECX_MONITOR, 0, always},
    // KVM emulates the mode in its LAPIC but does not list it; with it Linux skips LAPIC calibration and the
    // PIT.
    Filter{"tsc-deadline", cpuid::FEATURES, Register::Ecx, 0, cpuid::FEATURES_ECX_TSC_DEADLINE, deadline},
    // KVM's LAPIC timer runs on through HLT; without the bit Linux keeps a broadcast timer, the PIT.
    Filter{"arat", cpuid::THERMAL_POWER, Register::Eax, 0, cpuid::THERMAL_POWER_EAX_ARAT, apic},
    // AVIC without x2AVIC intercepts every x2APIC register, EOI too: xAPIC mode is faster for the guest.
    Filter{"no-x2apic", cpuid::FEATURES, Register::Ecx, cpuid::FEATURES_ECX_X2APIC, 0, no_x2apic},
    // Without an in-kernel irqchip the LAPIC is missing, and the features that need it.
    Filter{"no-apic", cpuid::FEATURES, Register::Edx, cpuid::FEATURES_EDX_APIC, 0, no_apic},
    Filter{"no-apic-deadline", cpuid::FEATURES, Register::Ecx, cpuid::FEATURES_ECX_TSC_DEADLINE, 0, no_apic},
    Filter{"no-apic-kvm", cpuid::KVM_FEATURES, Register::Eax, kApicFeatures, 0, no_apic},
    // With the hypercall every IPI exits; hardware sends them without.
    Filter{"no-pv-ipi", cpuid::KVM_FEATURES, Register::Eax, cpuid::KVM_FEATURES_EAX_PV_SEND_IPI, 0,
           hardware_ipi},
    // A hypercall that never reaches KVM hangs the guest: offer no feature that makes one.
    Filter{"no-hypercalls", cpuid::KVM_FEATURES, Register::Eax, kHypercallFeatures, 0, no_hypercalls},
    // HTT means "EBX[23:16] counts": the package holds more than one logical processor.
    Filter{"one-cpu", cpuid::FEATURES, Register::Edx, cpuid::FEATURES_EDX_HTT, 0, single},
    Filter{"many-cpus", cpuid::FEATURES, Register::Edx, 0, cpuid::FEATURES_EDX_HTT, several},
    Filter{"one-cpu-amd", cpuid::EXT_FEATURES, Register::Ecx, cpuid::EXT_FEATURES_ECX_CMP_LEGACY, 0, single},
};

u32& register_of(kvm_cpuid_entry2& entry, Register reg) {
    switch (reg) {
        case Register::Eax: return entry.eax;
        case Register::Ebx: return entry.ebx;
        case Register::Ecx: return entry.ecx;
        case Register::Edx: return entry.edx;
    }
    UNREACHABLE();
}

/// Bits of an APIC id that number the CPUs of the one package.
u32 core_bits(u32 cpu_count) { return static_cast<u32>(std::bit_width(cpu_count - 1)); }

void set_field(u32& reg, u32 low_bit, u32 width, u32 value) {
    const u32 mask = ((u32{1} << width) - 1) << low_bit;
    reg = (reg & ~mask) | ((value << low_bit) & mask);
}

/// One package, one thread per core, APIC id = vCPU id: leaves 0xB and 0x1F (SDM Vol. 2A, "CPUID").
void set_extended_topology(CpuidTable& table, u32 leaf, const CpuidFacts& facts, u32 cpu_id) {
    table.remove(leaf);
    kvm_cpuid_entry2& smt = table.find_or_add(leaf, 0, true);
    smt.eax = 0;
    smt.ebx = 1;
    smt.ecx = cpuid::TOPOLOGY_TYPE_SMT << 8;
    smt.edx = cpu_id;
    kvm_cpuid_entry2& core = table.find_or_add(leaf, 1, true);
    core.eax = core_bits(facts.cpu_count);
    core.ebx = facts.cpu_count;
    core.ecx = 1 | cpuid::TOPOLOGY_TYPE_CORE << 8;
    core.edx = cpu_id;
    kvm_cpuid_entry2& end = table.find_or_add(leaf, 2, true);
    end.ecx = 2;
    end.edx = cpu_id;
}

/// The caches: levels 1 and 2 belong to a core, level 3 is shared by all.
void set_cache_sharing(CpuidTable& table, u32 leaf, const CpuidFacts& facts) {
    for (kvm_cpuid_entry2& entry : table.entries()) {
        if (entry.function != leaf || (entry.eax & 0x1f) == 0) continue;
        const u32 level = (entry.eax >> 5) & 7;
        set_field(entry.eax, 14, 12, level >= 3 ? facts.cpu_count - 1 : 0);
        if (leaf == cpuid::CACHE_PARAMETERS) set_field(entry.eax, 26, 6, facts.cpu_count - 1);
    }
}

void set_topology(CpuidTable& table, const CpuidFacts& facts, u32 cpu_id) {
    if (kvm_cpuid_entry2* features = table.find(cpuid::FEATURES)) {
        set_field(features->ebx, 24, 8, cpu_id);
        set_field(features->ebx, 16, 8, std::min(u32{1} << core_bits(facts.cpu_count), u32{255}));
    }
    set_cache_sharing(table, cpuid::CACHE_PARAMETERS, facts);
    set_extended_topology(table, cpuid::TOPOLOGY, facts, cpu_id);
    if (table.find(cpuid::TOPOLOGY_V2) != nullptr)
        set_extended_topology(table, cpuid::TOPOLOGY_V2, facts, cpu_id);
    // Leaf 0xB must be within the basic range for a guest to look at it.
    if (kvm_cpuid_entry2* vendor = table.find(0)) vendor->eax = std::max(vendor->eax, cpuid::TOPOLOGY);

    if (is_intel(table)) return;
    set_cache_sharing(table, cpuid::AMD_CACHE_PROPERTIES, facts);
    if (kvm_cpuid_entry2* sizes = table.find(cpuid::SIZES)) {
        set_field(sizes->ecx, 0, 8, facts.cpu_count - 1);
        set_field(sizes->ecx, 12, 4, core_bits(facts.cpu_count));
    }
    if (kvm_cpuid_entry2* extended = table.find(cpuid::EXT_FEATURES); extended && facts.cpu_count > 1)
        extended->ecx |= cpuid::EXT_FEATURES_ECX_CMP_LEGACY;
    if (kvm_cpuid_entry2* node = table.find(cpuid::AMD_TOPOLOGY)) {
        node->eax = cpu_id;
        node->ebx = cpu_id & 0xff;  // core id, one thread per core
        node->ecx = 0;              // one node
    }
    // KVM passes the host's own hybrid topology through here; 0xB says it all.
    table.remove(cpuid::AMD_TOPOLOGY_V2);
}

/// Frequencies a guest would otherwise measure against a timer for 100 ms and more.
void set_timing(CpuidTable& table, const CpuidFacts& facts) {
    if (kvm_cpuid_entry2* power = table.find(cpuid::ADVANCED_POWER))
        power->edx |= cpuid::ADVANCED_POWER_EDX_INVARIANT_TSC;
    if (facts.tsc_khz == 0) return;
    kvm_cpuid_entry2& timing = table.find_or_add(cpuid::HYPERVISOR_TIMING, 0, false);
    timing.eax = facts.tsc_khz;
    timing.ebx = kApicBusKhz;
    if (kvm_cpuid_entry2* signature = table.find(cpuid::KVM_SIGNATURE))
        signature->eax = std::max(signature->eax, cpuid::HYPERVISOR_TIMING);
    if (!is_intel(table)) return;
    // TSC = crystal * EBX / EAX. A crystal of the APIC bus frequency also gives Linux its LAPIC timer rate.
    if (kvm_cpuid_entry2* tsc = table.find(cpuid::TSC_FREQUENCY); tsc && tsc->eax == 0) {
        tsc->eax = kApicBusKhz;
        tsc->ebx = facts.tsc_khz;
        tsc->ecx = kApicBusKhz * 1000;
    }
    if (kvm_cpuid_entry2* cpu = table.find(cpuid::CPU_FREQUENCY); cpu && cpu->eax == 0) {
        cpu->eax = cpu->ebx = facts.tsc_khz / 1000;
        cpu->ecx = 100;
    }
}

}  // namespace

void* CpuidTable::for_kernel_to_fill() {
    table_.count = kEntriesFromKvm;
    return &table_;
}

kvm_cpuid_entry2* CpuidTable::find(u32 leaf, u32 subleaf) {
    for (kvm_cpuid_entry2& entry : entries()) {
        if (entry.function != leaf) continue;
        if ((entry.flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) == 0 || entry.index == subleaf) return &entry;
    }
    return nullptr;
}

const kvm_cpuid_entry2* CpuidTable::find(u32 leaf, u32 subleaf) const {
    return const_cast<CpuidTable*>(this)->find(leaf, subleaf);  // SAFETY: find() writes nothing
}

kvm_cpuid_entry2& CpuidTable::find_or_add(u32 leaf, u32 subleaf, bool has_subleaves) {
    if (kvm_cpuid_entry2* entry = find(leaf, subleaf)) return *entry;
    VERIFY(table_.count < kEntriesMax);
    kvm_cpuid_entry2& added = table_.entries[table_.count++];
    added = {};
    added.function = leaf;
    added.index = subleaf;
    added.flags = has_subleaves ? u32{KVM_CPUID_FLAG_SIGNIFCANT_INDEX} : 0;
    return added;
}

void CpuidTable::remove(u32 leaf) {
    const std::span<kvm_cpuid_entry2> all = entries();
    const auto kept = std::remove_if(all.begin(), all.end(),
                                     [leaf](const kvm_cpuid_entry2& e) { return e.function == leaf; });
    table_.count = static_cast<u32>(kept - all.begin());
}

bool is_intel(const CpuidTable& table) {
    const kvm_cpuid_entry2* vendor = table.find(0);
    constexpr u32 kGenu = 0x756e'6547;  // "Genu", the first four letters in EBX
    return vendor != nullptr && vendor->ebx == kGenu;
}

void make_guest_cpuid(CpuidTable& table, const CpuidFacts& facts, u32 cpu_id) {
    for (const Filter& filter : kFilters) {
        if (!filter.applies(facts)) continue;
        for (kvm_cpuid_entry2& entry : table.entries()) {
            if (entry.function != filter.leaf) continue;
            u32& reg = register_of(entry, filter.reg);
            reg = (reg & ~filter.clear) | filter.set;
        }
    }
    set_topology(table, facts, cpu_id);
    set_timing(table, facts);
}

}  // namespace mayfly
