// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/host_kind.h"

#include <cpuid.h>

#include "vmm/os/text_file.h"

namespace mayfly {

namespace {

constexpr std::size_t kParameterBytes = 16;

/// AMD APM Vol. 3 appendix E.4.9 "Function 8000_000Ah-SVM Features", EDX bit 18: x2AVIC.
bool cpu_has_x2avic() {
    u32 eax = 0;
    u32 ebx = 0;
    u32 ecx = 0;
    u32 edx = 0;
    return __get_cpuid(0x8000'000a, &eax, &ebx, &ecx, &edx) != 0 && (edx & (u32{1} << 18)) != 0;
}

}  // namespace

std::string_view to_string(KvmFlavour flavour) {
    switch (flavour) {
        case KvmFlavour::Vmx: return "VMX";
        case KvmFlavour::Svm: return "SVM";
        case KvmFlavour::Pvm: return "PVM";
        case KvmFlavour::Unknown: return "unknown";
    }
    return "unknown";
}

bool is_parameter_on(std::string_view value) {
    return !value.empty() && value != "N" && value != "0" && value != "n";
}

bool has_hardware_ipi(const HostSigns& signs) {
    if (signs.flavour == KvmFlavour::Vmx) return is_parameter_on(signs.enable_ipiv);
    return signs.flavour == KvmFlavour::Svm && is_parameter_on(signs.avic) &&
           (signs.enable_ipiv.empty() || is_parameter_on(signs.enable_ipiv));
}

bool wants_tss_address(KvmFlavour flavour) {
    return flavour == KvmFlavour::Vmx || flavour == KvmFlavour::Unknown;
}

HostKind host_kind(const HostSigns& signs) {
    HostKind host;
    host.flavour = signs.flavour;
    host.has_hypercalls = signs.flavour != KvmFlavour::Pvm;
    host.has_avic = signs.flavour == KvmFlavour::Svm && is_parameter_on(signs.avic);
    host.has_hardware_ipi = has_hardware_ipi(signs);
    host.hide_x2apic = host.has_avic && !signs.has_x2avic;
    return host;
}

KvmFlavour detect_flavour() {
    if (path_exists("/sys/module/kvm_pvm")) return KvmFlavour::Pvm;
    if (path_exists("/sys/module/kvm_amd")) return KvmFlavour::Svm;
    if (path_exists("/sys/module/kvm_intel")) return KvmFlavour::Vmx;
    return KvmFlavour::Unknown;
}

HostKind detect_host_kind() {
    HostSigns signs;
    signs.flavour = detect_flavour();
    const auto read = [](const char* path) { return read_text_file(path, kParameterBytes); };
    if (signs.flavour == KvmFlavour::Svm) {
        signs.avic = read("/sys/module/kvm_amd/parameters/avic");
        if (is_parameter_on(signs.avic)) {
            signs.enable_ipiv = read("/sys/module/kvm_amd/parameters/enable_ipiv");
            signs.has_x2avic = cpu_has_x2avic();
        }
    } else if (signs.flavour == KvmFlavour::Vmx) {
        signs.enable_ipiv = read("/sys/module/kvm_intel/parameters/enable_ipiv");
    }
    return host_kind(signs);
}

}  // namespace mayfly
