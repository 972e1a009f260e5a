// SPDX-License-Identifier: Apache-2.0
#include "vmm/doctor/facts/kvm_facts.h"

#include <algorithm>
#include <array>

#include <linux/kvm.h>

#include "vmm/kvm/cpuid_spec.h"
#include "vmm/kvm/ioctl.h"

namespace mayfly {

namespace {

// Newer than the headers that we build with.
constexpr u32 kCapApicBusCyclesNs = 237;  // Linux 6.11

constexpr bool kRequired = true;
constexpr bool kWanted = false;

/// The capabilities that mayfly uses, and what a guest or user lacks without each.
constexpr std::array kCapabilities{
    Capability{"USER_MEMORY", KVM_CAP_USER_MEMORY, kRequired, "guest RAM"},
    Capability{"EXT_CPUID", KVM_CAP_EXT_CPUID, kRequired, "the guest's CPUID"},
    Capability{"IMMEDIATE_EXIT", KVM_CAP_IMMEDIATE_EXIT, kRequired, "stopping a vCPU; Linux 4.13"},
    Capability{"SPLIT_IRQCHIP", KVM_CAP_SPLIT_IRQCHIP, kRequired, "the modern machine's LAPICs; Linux 4.4"},
    Capability{"SIGNAL_MSI", KVM_CAP_SIGNAL_MSI, kRequired, "interrupts of PCI devices"},
    Capability{"IRQ_ROUTING", KVM_CAP_IRQ_ROUTING, kWanted, "interrupts by irqfd"},
    Capability{"IRQFD", KVM_CAP_IRQFD, kWanted, "interrupts without a return to user space"},
    Capability{"IOEVENTFD", KVM_CAP_IOEVENTFD, kWanted, "doorbells without a return to user space"},
    Capability{"IOEVENTFD_ANY_LENGTH", KVM_CAP_IOEVENTFD_ANY_LENGTH, kWanted, "fast doorbells; Linux 4.4"},
    Capability{"IRQCHIP", KVM_CAP_IRQCHIP, kWanted, "--profile legacy: IOAPIC and 8259s in the kernel"},
    Capability{"PIT2", KVM_CAP_PIT2, kWanted, "--profile legacy: the 8254 timer"},
    Capability{"REINJECT_CONTROL", KVM_CAP_REINJECT_CONTROL, kWanted,
               "--pit discard: an 8254 that leaves AVIC on"},
    Capability{"X2APIC_API", KVM_CAP_X2APIC_API, kWanted, "APIC ids above 255"},
    Capability{"TSC_DEADLINE_TIMER", KVM_CAP_TSC_DEADLINE_TIMER, kWanted, "timers without calibration"},
    Capability{"GET_TSC_KHZ", KVM_CAP_GET_TSC_KHZ, kWanted, "telling guests the TSC's frequency"},
    Capability{"ADJUST_CLOCK", KVM_CAP_ADJUST_CLOCK, kWanted, "setting kvmclock"},
    Capability{"READONLY_MEM", KVM_CAP_READONLY_MEM, kWanted, "PCI configuration reads without an exit"},
    Capability{"BINARY_STATS_FD", KVM_CAP_BINARY_STATS_FD, kWanted, "KVM's counters in --stats; Linux 5.14"},
    Capability{"STEAL_TIME", KVM_CAP_STEAL_TIME, kWanted, "guests that see how long they waited for a CPU"},
    Capability{"HALT_POLL", KVM_CAP_HALT_POLL, kWanted, "halt polling per machine; Linux 5.12"},
    Capability{"DISABLE_QUIRKS2", KVM_CAP_DISABLE_QUIRKS2, kWanted, "clean handling of VMCALL; Linux 5.18"},
    Capability{"COALESCED_PIO", KVM_CAP_COALESCED_PIO, kWanted, "collected port writes"},
};

}  // namespace

KvmFacts gather_kvm(const KvmSystem& kvm) {
    KvmFacts facts;
    facts.api_version = KVM_IOCTL(kvm.fd(), KVM_GET_API_VERSION, 0).value_or(0);
    facts.capabilities.assign(kCapabilities.begin(), kCapabilities.end());
    for (Capability& capability : facts.capabilities)
        capability.value = kvm.check(static_cast<int>(capability.number));
    facts.vcpus_recommended = kvm.check(KVM_CAP_NR_VCPUS);
    facts.vcpus_max = std::max(kvm.check(KVM_CAP_MAX_VCPUS), facts.vcpus_recommended);
    facts.memory_slots = kvm.check(KVM_CAP_NR_MEMSLOTS);
    // The check returns KVM's default period.
    facts.apic_bus_ns = static_cast<u32>(std::max(1, kvm.check(static_cast<int>(kCapApicBusCyclesNs))));
    facts.has_tsc_scaling = kvm.check(KVM_CAP_TSC_CONTROL) != 0;
    const Result<CpuidTable> cpuid = kvm.supported_cpuid();
    if (!cpuid) return facts;
    if (const kvm_cpuid_entry2* leaf = cpuid->find(cpuid::KVM_FEATURES)) facts.paravirt_features = leaf->eax;
    if (const kvm_cpuid_entry2* leaf = cpuid->find(cpuid::FEATURES))
        facts.has_x2apic = (leaf->ecx & cpuid::FEATURES_ECX_X2APIC) != 0;
    return facts;
}

}  // namespace mayfly
