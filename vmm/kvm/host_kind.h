// SPDX-License-Identifier: Apache-2.0
// host_kind: which KVM this host runs, as far as mayfly depends on it.
// Thread: any; reads sysfs and CPUID.
#pragma once

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

/// A few microseconds: at most three small files.
[[nodiscard]] HostKind detect_host_kind();

/// The module's parameters, interpreted in one place for the boot path and the doctor.
[[nodiscard]] KvmFlavour detect_flavour();

/// A module parameter that reads Y or a number other than 0.
[[nodiscard]] bool is_parameter_on(const char* path);

}  // namespace mayfly
