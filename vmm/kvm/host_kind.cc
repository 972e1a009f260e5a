// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/host_kind.h"

#include <cpuid.h>
#include <string>

#include "vmm/os/text_file.h"

namespace mayfly {

namespace {

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

bool is_parameter_on(const char* path) {
    const std::string value = read_text_file(path, 16);
    return !value.empty() && value != "N" && value != "0" && value != "n";
}

KvmFlavour detect_flavour() {
    if (path_exists("/sys/module/kvm_pvm")) return KvmFlavour::Pvm;
    if (path_exists("/sys/module/kvm_amd")) return KvmFlavour::Svm;
    if (path_exists("/sys/module/kvm_intel")) return KvmFlavour::Vmx;
    return KvmFlavour::Unknown;
}

HostKind detect_host_kind() {
    HostKind host;
    host.flavour = detect_flavour();
    switch (host.flavour) {
        case KvmFlavour::Pvm: host.has_hypercalls = false; break;
        case KvmFlavour::Svm:
            host.has_avic = is_parameter_on("/sys/module/kvm_amd/parameters/avic");
            host.has_hardware_ipi = host.has_avic;
            host.hide_x2apic = host.has_avic && !cpu_has_x2avic();
            break;
        case KvmFlavour::Vmx:
            host.has_hardware_ipi = is_parameter_on("/sys/module/kvm_intel/parameters/enable_ipiv");
            break;
        case KvmFlavour::Unknown: break;
    }
    return host;
}

}  // namespace mayfly
