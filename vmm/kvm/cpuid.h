// SPDX-License-Identifier: Apache-2.0
// A guest's CPUID: the leaves that KVM supports, passed through one table of named filters, with the topology
// leaves adjusted to the number of vCPUs.
//
// Thread: values only.
// Spec: Intel SDM Vol. 2A, "CPUID-CPU Identification"; AMD APM Vol. 3 appendix E "Obtaining Processor
// Information Via the CPUID Instruction"; Linux Documentation/virt/kvm/x86/cpuid.rst "KVM CPUID bits".
#pragma once

#include <span>
#include <string_view>

#include <linux/kvm.h>

#include "vmm/error/ints.h"
#include "vmm/kvm/counted_table.h"

namespace mayfly {

class CpuidTable {
  public:
    /// KVM_MAX_CPUID_ENTRIES, and room for what we add.
    static constexpr std::size_t kEntriesFromKvm = 256;
    static constexpr std::size_t kEntriesMax = kEntriesFromKvm + 8;

    /// A struct kvm_cpuid2 with room for kEntriesFromKvm entries; the kernel writes how many it filled.
    [[nodiscard]] void* for_kernel_to_fill();
    [[nodiscard]] void* for_kernel_to_read() { return &table_; }

    /// The table as stored in a file: its count, a word, and that many entries; and the space that a file may
    /// be read into. Check is_within_bounds() after reading.
    [[nodiscard]] std::span<const std::byte> file_bytes() const {
        return std::as_bytes(std::span(&table_, 1)).first(kCountedHeaderBytes + entries().size_bytes());
    }
    [[nodiscard]] std::span<std::byte> for_file_to_fill() {
        return std::as_writable_bytes(std::span(&table_, 1))
            .first(kCountedHeaderBytes + kEntriesFromKvm * sizeof(kvm_cpuid_entry2));
    }
    [[nodiscard]] bool is_within_bounds() const { return table_.count <= kEntriesFromKvm; }

    [[nodiscard]] std::span<kvm_cpuid_entry2> entries() { return table_.filled(); }
    [[nodiscard]] std::span<const kvm_cpuid_entry2> entries() const { return table_.filled(); }

    /// Null where the table lacks the leaf.
    [[nodiscard]] kvm_cpuid_entry2* find(u32 leaf, u32 subleaf = 0);
    [[nodiscard]] const kvm_cpuid_entry2* find(u32 leaf, u32 subleaf = 0) const;
    /// The entry, added with zeroes where it was missing. The table has room (VERIFY).
    kvm_cpuid_entry2& find_or_add(u32 leaf, u32 subleaf, bool has_subleaves);
    /// Removes every subleaf of `leaf`.
    void remove(u32 leaf);

  private:
    CountedTable<kvm_cpuid_entry2, kEntriesMax> table_;
};

/// The facts that the filters use.
struct CpuidFacts {
    u32 cpu_count = 1;
    u32 tsc_khz = 0;                ///< 0: unknown; leaf 0x40000010 is then left out
    bool has_kernel_apic = true;    ///< false with --irqchip none: no APIC features, no x2APIC
    bool has_tsc_deadline = false;  ///< KVM_CAP_TSC_DEADLINE_TIMER
    bool has_hypercalls = true;     ///< false where VMCALL/VMMCALL do not reach KVM (kvm_pvm)
    bool has_hardware_ipi = false;  ///< IPI virtualisation or AVIC: IPIs by hypercall would be slower
    bool hide_x2apic = false;       ///< AVIC without x2AVIC: xAPIC keeps its acceleration
};

/// Applies all filters and topology for the vCPU `cpu_id`. `table` is what KVM supports.
void make_guest_cpuid(CpuidTable& table, const CpuidFacts& facts, u32 cpu_id);

/// Vendor string of leaf 0 is "GenuineIntel".
[[nodiscard]] bool is_intel(const CpuidTable& table);

}  // namespace mayfly
