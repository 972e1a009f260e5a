// SPDX-License-Identifier: Apache-2.0
// Section kvm: whether KVM works, its kind, its features.
#include <cerrno>

#include <fmt/format.h>

#include "vmm/doctor/judge.h"

namespace mayfly {

namespace {

using Findings = std::vector<Finding>;

constexpr u32 kGroupMayReadAndWrite = 0060;

void add(Findings& out, Severity severity, std::string_view subject, std::string text,
         std::string cure = {}) {
    out.push_back({Section::Kvm, severity, std::string(subject), std::move(text), std::move(cure)});
}

/// The cure for a missing /dev/kvm.
void judge_missing_device(const HostFacts& host, Findings& out) {
    const auto say = [&](std::string text, std::string cure) {
        add(out, Severity::Problem, "/dev/kvm", "does not exist: " + std::move(text), std::move(cure));
    };
    if (host.is_container)
        return say("this container was not given the device, or its host has none",
                   "docker run --device /dev/kvm IMAGE");
    if (host.flavour != KvmFlavour::Unknown)
        return say("KVM is loaded, but nobody made the device file", "sudo mknod -m 660 /dev/kvm c 10 232");
    if (host.cpu.has_vmx) return say("kvm_intel is not loaded", "sudo modprobe kvm_intel");
    if (host.cpu.has_svm) return say("kvm_amd is not loaded", "sudo modprobe kvm_amd");
    if (host.cpu.is_guest)
        return say(
            "this virtual machine was not given nested virtualisation; on its own host, load KVM with it "
            "and "
            "pass the processor through (for QEMU: -cpu host)",
            host.cpu.vendor == "AuthenticAMD" ? "modprobe kvm_amd nested=1" : "modprobe kvm_intel nested=1");
    say("the processor shows neither VT-x nor AMD-V; enable it in the firmware's set-up", "");
}

/// The cure for a /dev/kvm that does not open.
void judge_forbidden_device(const HostFacts& host, Findings& out) {
    const KvmDevice& device = host.kvm_device;
    const auto say = [&](std::string text, std::string cure) {
        add(out, Severity::Problem, "/dev/kvm", "no right to open it: " + std::move(text), std::move(cure));
    };
    if (device.open_errno == EPERM || host.is_root)
        return say("a container's device rules forbid it", "docker run --device /dev/kvm IMAGE");
    const bool group_may = (device.mode & kGroupMayReadAndWrite) == kGroupMayReadAndWrite;
    if (!group_may || device.group == "root")
        return say(fmt::format("mode {:04o}, group {}", device.mode, device.group),
                   "sudo chgrp kvm /dev/kvm && sudo chmod 660 /dev/kvm && sudo usermod -aG kvm $USER");
    if (device.is_listed && !device.is_member)
        return say(fmt::format("you are in the group {}, but this login is older than that", device.group),
                   "newgrp " + device.group);
    if (device.is_member)
        return say("a security module forbids it, see the kernel's log", "sudo dmesg | tail");
    say(fmt::format("you are not in the group {}; join it, then log in again", device.group),
        fmt::format("sudo usermod -aG {} $USER", device.group));
}

void judge_device(const Facts& facts, Findings& out) {
    const KvmDevice& device = facts.host.kvm_device;
    if (facts.kvm) {
        add(out, Severity::Ok, "/dev/kvm", fmt::format("opens; API version {}", facts.kvm->api_version));
    } else if (!device.exists || device.open_errno == ENODEV || device.open_errno == ENXIO) {
        judge_missing_device(facts.host, out);
    } else if (device.open_errno == EACCES || device.open_errno == EPERM) {
        judge_forbidden_device(facts.host, out);
    } else {
        add(out, Severity::Problem, "/dev/kvm", facts.kvm_error);
    }
}

void judge_flavour(const Facts& facts, Findings& out) {
    const std::string nested = facts.host.cpu.is_guest ? ", nested: this host is a guest" : "";
    switch (facts.host.flavour) {
        case KvmFlavour::Vmx: return add(out, Severity::Ok, "flavour", "VMX (Intel VT-x)" + nested);
        case KvmFlavour::Svm: return add(out, Severity::Ok, "flavour", "SVM (AMD-V)" + nested);
        case KvmFlavour::Pvm:
            return add(out, Severity::Note, "flavour",
                       "PVM: KVM in software, without VT-x or AMD-V; everything but guest user code is slow");
        case KvmFlavour::Unknown: break;
    }
    if (facts.kvm) add(out, Severity::Note, "flavour", "unknown: /sys/module shows no KVM module" + nested);
}

void judge_capabilities(const KvmFacts& kvm, Findings& out) {
    std::string present;
    u32 count = 0;
    for (const Capability& capability : kvm.capabilities) {
        if (capability.value <= 0) {
            add(out, capability.is_required ? Severity::Problem : Severity::Note,
                capability.is_required ? "needed, missing" : "missing",
                fmt::format("KVM_CAP_{} ({}): {}", capability.name, capability.number, capability.why));
            continue;
        }
        present += fmt::format("{}{}({})={}", count == 0 ? "" : ", ", capability.name, capability.number,
                               capability.value);
        ++count;
    }
    add(out, Severity::Ok, "capabilities",
        fmt::format("{} of {}, name(number)=value: {}", count, kvm.capabilities.size(), present));
}

void judge_switched_off(const ModuleParameters& parameters, Findings& out) {
    for (const VirtualisationParameter& parameter : parameters.switched_off)
        add(out, Severity::Note, "switched off",
            fmt::format("{}.{}: {}", parameter.module, parameter.name, parameter.without),
            fmt::format("sudo modprobe -r {0} && sudo modprobe {0} {1}=1", parameter.module, parameter.name));
}

void judge_halt_polling(const ModuleParameters& parameters, Findings& out) {
    if (parameters.halt_poll_ns.empty()) return;
    if (parameters.halt_poll_ns == "0")
        return add(out, Severity::Note, "halt polling",
                   "off: a guest that waits for I/O wakes up later, and costs no CPU meanwhile",
                   "echo 200000 | sudo tee /sys/module/kvm/parameters/halt_poll_ns");
    add(out, Severity::Ok, "halt polling", fmt::format("up to {} ns", parameters.halt_poll_ns));
}

}  // namespace

void judge_kvm(const Facts& facts, Findings& out) {
    judge_device(facts, out);
    judge_flavour(facts, out);
    judge_switched_off(facts.host.parameters, out);
    judge_halt_polling(facts.host.parameters, out);
    const ModuleParameters& parameters = facts.host.parameters;
    if (!parameters.nx_huge_pages.empty())
        add(out, Severity::Ok, "nx_huge_pages",
            parameters.nx_huge_pages == "Y"   ? "on: huge pages that guests execute are split (iTLB multihit)"
            : parameters.nx_huge_pages == "N" ? "off"
                                              : parameters.nx_huge_pages);
    if (!facts.kvm) return;
    const KvmFacts& kvm = *facts.kvm;
    judge_capabilities(kvm, out);
    add(out, Severity::Ok, "limits",
        fmt::format("{} vCPUs ({} recommended), {} memory slots", kvm.vcpus_max, kvm.vcpus_recommended,
                    kvm.memory_slots));
    if (!facts.probe) return;
    if (!facts.probe->failure.empty())
        return add(out, Severity::Problem, "probe guest", facts.probe->failure);
    if (!facts.probe->early_end.empty())
        return add(
            out, Severity::Note, "probe guest",
            fmt::format("{}; what it measured before stands, the rest is unknown", facts.probe->early_end));
    if (!facts.probe->unfinished.empty())
        return add(out, Severity::Note, "probe guest",
                   fmt::format("{}: {}; for the rest, run mayfly doctor again when the host is quiet",
                               facts.probe->has_run ? "ran, and not all was measured" : "was not run",
                               facts.probe->unfinished));
    add(out, Severity::Ok, "probe guest", "ran to its end");
}

}  // namespace mayfly
