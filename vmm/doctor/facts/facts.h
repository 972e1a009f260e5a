// SPDX-License-Identifier: Apache-2.0
// Facts: the doctor's facts about this host, as plain values. Nothing is judged here.
//
// Gathered by host_facts, kvm_facts and probe; judged by judge; printed as JSON by print. An empty optional
// or string means that the host does not tell. Thread: values only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/error/ints.h"
#include "vmm/kvm/host_kind.h"
#include "vmm/loop/ring_features.h"

namespace mayfly {

/// A parameter of a KVM module that uses what the processor has for guests. KVM has it on where it can, and
/// says N where the processor lacks that.
struct VirtualisationParameter {
    std::string_view module;
    std::string_view name;
    std::string_view without;  ///< what KVM does when it is off
};

inline constexpr VirtualisationParameter kVirtualisationParameters[] = {
    {"kvm_intel", "ept", "KVM shadows guests' page tables: their changes and many page faults are exits"},
    {"kvm_amd", "npt", "KVM shadows guests' page tables: their changes and many page faults are exits"},
    {"kvm_intel", "vpid", "each exit forgets what the processor knew of a guest's page tables"},
    {"kvm_intel", "unrestricted_guest",
     "KVM emulates a guest's real mode, as other processors than the first start in"},
    {"kvm_intel", "flexpriority", "each access to an APIC in xAPIC mode is an exit, EOIs too"},
    {"kvm_intel", "preemption_timer",
     "a guest's timer is one of the host's kernel, and its interrupt another exit"},
};

/// Parameters of the KVM modules, as sysfs has them.
struct ModuleParameters {
    std::string enable_apicv;       ///< kvm_intel
    std::string enable_ipiv;        ///< kvm_intel; kvm_amd since Linux 6.17
    std::string avic;               ///< kvm_amd
    std::string nested;             ///< kvm_intel or kvm_amd: guests may be hypervisors
    std::string halt_poll_ns;       ///< kvm
    std::string nx_huge_pages;      ///< kvm
    std::string tsc_tolerance_ppm;  ///< kvm
    /// Of kVirtualisationParameters; none on a host that lacks its module.
    std::vector<VirtualisationParameter> switched_off;
};

struct CpuFacts {
    std::string vendor;  ///< "GenuineIntel"
    std::string model;
    u32 online = 1;
    std::optional<bool> has_smt;  ///< two threads of one core are in use
    bool has_vmx = false;
    bool has_svm = false;
    bool has_posted_interrupts = false;  ///< VMX: APICv with posted_intr. SVM: AVIC
    bool has_ipi_virtualisation = false;
    bool has_x2avic = false;
    bool is_guest = false;   ///< CPUID says that a hypervisor runs this host
    std::string hypervisor;  ///< its signature, "KVMKVMKVM"
    bool has_invariant_tsc = false;
    std::optional<double> tsc_khz;  ///< the rate that the host's kernel uses; empty: not measured
};

/// /dev/kvm as a file.
struct KvmDevice {
    bool exists = false;
    int open_errno = 0;  ///< 0: it can be opened
    u32 mode = 0;
    std::string group;       ///< name, or number where it has none
    bool is_member = false;  ///< this process is in that group
    bool is_listed = false;  ///< the group file names this user: a new login would be enough
};

struct HostFacts {
    std::string kernel_release;
    KvmFlavour flavour = KvmFlavour::Unknown;
    bool has_kvm_module = false;
    bool is_container = false;
    bool is_root = false;
    CpuFacts cpu;
    ModuleParameters parameters;
    KvmDevice kvm_device;
    std::string clocksource;
    std::string clocksources_available;
    std::string transparent_huge_pages;  ///< "madvise"
    std::string overcommit_memory;
    bool has_cgroup2 = false;  ///< mounted at /sys/fs/cgroup
    bool has_favordynmods = false;
    u64 memory_lock_limit_bytes = 0;  ///< ~0: unlimited
    u64 open_files_limit = 0;
    bool has_tun = false;
    int tun_open_errno = 0;
    bool has_net_admin = false;     ///< CAP_NET_ADMIN is in effect
    std::string io_uring_disabled;  ///< sysctl kernel.io_uring_disabled
    RingFeatures ring;
};

struct Capability {
    std::string_view name;  ///< without KVM_CAP_
    u32 number = 0;
    bool is_required = false;
    std::string_view why;  ///< what a host without it lacks
    int value = 0;         ///< KVM_CHECK_EXTENSION: 0 is missing
};

struct KvmFacts {
    int api_version = 0;
    std::vector<Capability> capabilities;
    int vcpus_recommended = 0;
    int vcpus_max = 0;
    int memory_slots = 0;
    u32 paravirt_features = 0;  ///< CPUID 0x40000001 EAX
    bool has_x2apic = false;
    u32 apic_bus_ns = 1;
    bool has_tsc_scaling = false;
};

/// The number of interrupts that the probe sends a busy guest, time permitting.
inline constexpr u32 kProbeInterrupts = 64;

/// The probe guest's results. Values that were not measured are empty.
struct ProbeFacts {
    std::string failure;     ///< why guests cannot run here: KVM refused one, or it crashed. Else empty
    std::string early_end;   ///< how a guest ended that had run and was not at its end. Else empty
    std::string unfinished;  ///< why a value was not measured, although nothing failed. Else empty
    bool has_run = false;    ///< the guest reached its first port write
    std::optional<u64> create_vm_ns;
    std::optional<u64> first_exit_ns;  ///< first KVM_RUN until the guest's first exit
    u32 tsc_khz = 0;                   ///< 0: KVM does not know
    std::optional<double> ring0_instruction_ns;
    std::optional<u64> user_exit_ns;         ///< port write, back to us and in again
    std::optional<u64> doorbell_ns;          ///< port write to an ioeventfd
    std::optional<u64> signal_msi_ns;        ///< the ioctl
    std::optional<u64> interrupt_ns;         ///< irqfd write until a busy guest's handler has run
    std::optional<bool> kvmclock_stable;     ///< the flag in the guest's own clock page
    std::optional<double> kvmclock_tsc_khz;  ///< the TSC rate that this page implies
    std::optional<bool> has_timer_fired;     ///< a TSC-deadline timer, within kProbeTimerPatienceMs
    std::optional<u64> timer_late_ns;        ///< until the guest's handler has run, after the deadline
    u32 interrupts_sent = 0;
    u32 interrupts_received = 0;
    bool is_interrupt_lost = false;  ///< the last interrupt never came, though the guest ran
    std::optional<u64> injections;   ///< the increase of irq_injections; empty: KVM lacks this counter
};

/// A timer that is overdue for so long never fires, as far as a guest can tell.
inline constexpr u64 kProbeTimerPatienceMs = 2000;

struct Facts {
    HostFacts host;
    std::optional<KvmFacts> kvm;      ///< empty: /dev/kvm could not be used
    std::string kvm_error;            ///< why
    std::optional<ProbeFacts> probe;  ///< empty: no machine was tried
};

}  // namespace mayfly
