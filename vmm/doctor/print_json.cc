// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "vmm/doctor/print.h"

namespace mayfly {

namespace {

using Json = nlohmann::ordered_json;

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

template <typename T>
Json or_null(const std::optional<T>& value) {
    return value ? Json(*value) : Json(nullptr);
}

Json host_json(const HostFacts& host) {
    Json ring{{"available", host.ring.is_available()}, {"operations", host.ring.operation_count}};
    for (const RingFeature& feature : host.ring.features)
        ring["features"][std::string(feature.name)] = feature.is_present;
    const ModuleParameters& parameters = host.parameters;
    Json switched_off = Json::array();
    for (const VirtualisationParameter& parameter : parameters.switched_off)
        switched_off.push_back(std::string(parameter.module) + "." + std::string(parameter.name));
    return {
        {"kernel", host.kernel_release},
        {"processor", host.cpu.model},
        {"cpus", host.cpu.online},
        {"smt", or_null(host.cpu.has_smt)},
        {"hypervisor", host.cpu.is_guest ? Json(host.cpu.hypervisor) : Json(nullptr)},
        {"container", host.is_container},
        {"flavour", std::string(to_string(host.flavour))},
        {"enable_apicv", text_or_null(parameters.enable_apicv)},
        {"enable_ipiv", text_or_null(parameters.enable_ipiv)},
        {"avic", text_or_null(parameters.avic)},
        {"nested", text_or_null(parameters.nested)},
        {"halt_poll_ns", text_or_null(parameters.halt_poll_ns)},
        {"nx_huge_pages", text_or_null(parameters.nx_huge_pages)},
        {"tsc_tolerance_ppm", text_or_null(parameters.tsc_tolerance_ppm)},
        {"switched_off", switched_off},
        {"tsc_khz", or_null(host.cpu.tsc_khz)},
        {"clocksource", text_or_null(host.clocksource)},
        {"transparent_huge_pages", text_or_null(host.transparent_huge_pages)},
        {"favordynmods", host.has_favordynmods},
        {"memory_lock_limit_bytes", host.memory_lock_limit_bytes},
        {"open_files_limit", host.open_files_limit},
        {"tun", host.has_tun && host.tun_open_errno == 0},
        {"net_admin", host.has_net_admin},
        {"io_uring", ring},
    };
}

Json kvm_json(const KvmFacts& kvm) {
    Json capabilities = Json::array();
    for (const Capability& capability : kvm.capabilities) {
        capabilities.push_back({{"name", "KVM_CAP_" + std::string(capability.name)},
                                {"number", capability.number},
                                {"value", capability.value},
                                {"required", capability.is_required}});
    }
    return {
        {"api_version", kvm.api_version},
        {"vcpus_max", kvm.vcpus_max},
        {"vcpus_recommended", kvm.vcpus_recommended},
        {"memory_slots", kvm.memory_slots},
        {"paravirt_features", kvm.paravirt_features},
        {"x2apic", kvm.has_x2apic},
        {"tsc_scaling", kvm.has_tsc_scaling},
        {"apic_bus_hz", u64{1'000'000'000} / kvm.apic_bus_ns},
        {"capabilities", capabilities},
    };
}

Json probe_json(const ProbeFacts& probe) {
    return {
        {"failure", text_or_null(probe.failure)},
        {"early_end", text_or_null(probe.early_end)},
        {"unfinished", text_or_null(probe.unfinished)},
        {"guest_ran", probe.has_run},
        {"tsc_khz", probe.tsc_khz == 0 ? Json(nullptr) : Json(probe.tsc_khz)},
        {"kvmclock_stable", or_null(probe.kvmclock_stable)},
        {"kvmclock_tsc_khz", or_null(probe.kvmclock_tsc_khz)},
        {"deadline_timer_fired", or_null(probe.has_timer_fired)},
        {"deadline_timer_late_ns", or_null(probe.timer_late_ns)},
        {"ring0_interpreted", probe.ring0_instruction_ns ? Json(is_interpreted(probe)) : Json(nullptr)},
        {"ring0_instruction_ns", or_null(probe.ring0_instruction_ns)},
        {"create_vm_ns", or_null(probe.create_vm_ns)},
        {"first_exit_ns", or_null(probe.first_exit_ns)},
        {"port_exit_ns", or_null(probe.user_exit_ns)},
        {"doorbell_ns", or_null(probe.doorbell_ns)},
        {"signal_msi_ns", or_null(probe.signal_msi_ns)},
        {"irqfd_ns", or_null(probe.interrupt_ns)},
        {"interrupts_sent", probe.interrupts_sent},
        {"interrupts_received", probe.interrupts_received},
        {"irq_injections", or_null(probe.injections)},
    };
}

}  // namespace

std::string doctor_json(const Diagnosis& diagnosis, const Facts& facts) {
    Json findings = Json::array();
    for (const Finding& finding : diagnosis.findings) {
        findings.push_back({{"section", std::string(to_string(finding.section))},
                            {"severity", std::string(to_string(finding.severity))},
                            {"subject", finding.subject},
                            {"text", finding.text},
                            {"cure", text_or_null(finding.cure)}});
    }
    const Json root{
        {"can_boot", diagnosis.can_boot},
        {"verdict", diagnosis.verdict},
        {"problems", diagnosis.problems},
        {"notes", diagnosis.notes},
        {"findings", findings},
        {"host", host_json(facts.host)},
        {"kvm", facts.kvm ? kvm_json(*facts.kvm) : Json(nullptr)},
        {"kvm_error", text_or_null(facts.kvm_error)},
        {"measured", facts.probe ? probe_json(*facts.probe) : Json(nullptr)},
    };
    // Text from CPUID and procfs may be invalid UTF-8.
    return root.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace mayfly
