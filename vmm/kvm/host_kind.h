// SPDX-License-Identifier: Apache-2.0
// host_kind: which KVM this host runs, as far as mayfly depends on it.
// Thread: any; reads sysfs and CPUID.
#pragma once

#include <string>
#include <string_view>

#include "vmm/error/ints.h"

namespace mayfly {

enum class KvmFlavour : u8 {
    Vmx,      ///< Intel VT-x
    Svm,      ///< AMD-V
    Pvm,      ///< software: guest ring 3 runs natively, ring 0 is interpreted instruction by instruction
    Unknown,  ///< no known module (built in, or hidden from us)
};

[[nodiscard]] std::string_view to_string(KvmFlavour flavour);

struct HostKind {
    KvmFlavour flavour = KvmFlavour::Unknown;
    bool has_hypercalls = true;     ///< VMCALL/VMMCALL reach KVM
    bool has_hardware_ipi = false;  ///< Intel IPI virtualisation or AMD AVIC in use
    bool has_avic = false;          ///< AVIC, which KVM keeps off while an 8254 reinjects; not VMX's APICv
    bool hide_x2apic = false;       ///< AVIC without x2AVIC

    friend bool operator==(const HostKind&, const HostKind&) = default;
};

/// What a host's kind is told by: parameters of its module as sysfs has them, and CPUID.
struct HostSigns {
    KvmFlavour flavour = KvmFlavour::Unknown;
    std::string avic;  ///< kvm_amd
    /// kvm_intel; kvm_amd since Linux 6.17, N there on processors with erratum 1235.
    std::string enable_ipiv;
    bool has_x2avic = false;
};
[[nodiscard]] HostKind host_kind(const HostSigns& signs);

/// A few microseconds: at most four small files.
[[nodiscard]] HostKind detect_host_kind();

/// The module's parameters, interpreted in one place for the boot path and the doctor.
[[nodiscard]] KvmFlavour detect_flavour();

/// A module parameter that reads Y or a number other than 0.
[[nodiscard]] bool is_parameter_on(std::string_view value);

/// IPIs without an exit. AVIC has them where its module does not say otherwise.
[[nodiscard]] bool has_hardware_ipi(const HostSigns& signs);

/// Whether KVM wants its pages for real mode: KvmVm::set_tss_address(). An unknown flavour may be VMX whose
/// module is hidden from us.
[[nodiscard]] bool wants_tss_address(KvmFlavour flavour);

}  // namespace mayfly
