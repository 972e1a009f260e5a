// SPDX-License-Identifier: Apache-2.0
// Facts of hosts for the doctor's tests, and findings by their subject.
#pragma once

#include <algorithm>
#include <cerrno>
#include <string_view>

#include <catch2/catch.hpp>

#include "vmm/doctor/facts/facts.h"
#include "vmm/doctor/judge.h"

namespace mayfly {

inline RingFeatures modern_ring() {
    return {.setup_errno = 0, .features = {{"DEFER_TASKRUN", "6.1", true}}, .operation_count = 60};
}

inline KvmFacts full_kvm() {
    KvmFacts kvm;
    kvm.api_version = 12;
    kvm.capabilities = {{"USER_MEMORY", 3, true, "guest RAM", 1}, {"IRQFD", 32, false, "interrupts", 1}};
    kvm.vcpus_max = 1024;
    kvm.paravirt_features = 1 << 6 | 1 << 24;
    kvm.has_x2apic = true;
    return kvm;
}

inline ProbeFacts native_probe(u64 injections) {
    ProbeFacts probe;
    probe.has_run = true;
    probe.tsc_khz = 2'100'000;
    probe.kvmclock_tsc_khz = 2'100'000;
    probe.has_timer_fired = true;
    probe.timer_late_ns = 40'000;
    probe.ring0_instruction_ns = 0.3;
    probe.kvmclock_stable = true;
    probe.interrupts_sent = 64;
    probe.interrupts_received = 64;
    probe.injections = injections;
    return probe;
}

/// Bare metal with VT-x and APICv, everything as it should be.
inline Facts vmx_host() {
    Facts facts;
    facts.host.kernel_release = "6.12.1";
    facts.host.flavour = KvmFlavour::Vmx;
    facts.host.has_kvm_module = true;
    facts.host.cpu.vendor = "GenuineIntel";
    facts.host.cpu.has_vmx = true;
    facts.host.cpu.has_posted_interrupts = true;
    facts.host.cpu.has_ipi_virtualisation = true;
    facts.host.parameters = {.enable_apicv = "Y",
                             .enable_ipiv = "Y",
                             .avic = "",
                             .nested = "Y",
                             .halt_poll_ns = "200000",
                             .nx_huge_pages = "N",
                             .tsc_tolerance_ppm = "250",
                             .switched_off = {}};
    facts.host.kvm_device = {
        .exists = true, .open_errno = 0, .mode = 0660, .group = "kvm", .is_member = true};
    facts.host.cpu.tsc_khz = 2'100'010;
    facts.host.clocksource = "tsc";
    facts.host.transparent_huge_pages = "madvise";
    facts.host.open_files_limit = 1024;
    facts.host.has_tun = true;
    facts.host.has_net_admin = true;
    facts.host.ring = modern_ring();
    facts.kvm = full_kvm();
    facts.probe = native_probe(0);
    return facts;
}

inline Facts svm_host() {
    Facts facts = vmx_host();
    facts.host.flavour = KvmFlavour::Svm;
    facts.host.cpu.vendor = "AuthenticAMD";
    facts.host.cpu.has_vmx = false;
    facts.host.cpu.has_svm = true;
    facts.host.cpu.has_x2avic = true;
    facts.host.parameters.enable_apicv = "";
    facts.host.parameters.enable_ipiv = "";
    facts.host.parameters.avic = "Y";
    return facts;
}

/// The same host, whose /dev/kvm fails to open.
inline Facts without_kvm(int open_errno) {
    Facts facts = vmx_host();
    facts.host.kvm_device.open_errno = open_errno;
    facts.kvm.reset();
    facts.probe.reset();
    facts.kvm_error = "no KVM";
    return facts;
}

inline const Finding* find(const Diagnosis& diagnosis, std::string_view subject) {
    const auto found = std::find_if(diagnosis.findings.begin(), diagnosis.findings.end(),
                                    [&](const Finding& finding) { return finding.subject == subject; });
    return found == diagnosis.findings.end() ? nullptr : &*found;
}

inline Finding finding(const Facts& facts, std::string_view subject) {
    const Diagnosis diagnosis = judge(facts);
    const Finding* found = find(diagnosis, subject);
    REQUIRE(found != nullptr);
    return *found;
}

}  // namespace mayfly
