// SPDX-License-Identifier: Apache-2.0
// Sections interrupts, time and speed: what a guest will meet.
#include <fmt/format.h>

#include "vmm/doctor/judge.h"
#include "vmm/doctor/parse.h"

namespace mayfly {

namespace {

using Findings = std::vector<Finding>;

// Linux Documentation/virt/kvm/x86/cpuid.rst, "KVM CPUID Features".
constexpr u32 kFeaturePvEoi = 1 << 6;
constexpr u32 kFeatureClockStable = 1 << 24;

constexpr std::string_view kTscCure =
    "echo tsc | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource";
constexpr double kSlowCreationNs = 5e6;

struct Adder {
    Findings& out;
    Section section;
    void operator()(Severity severity, std::string_view subject, std::string text,
                    std::string_view cure = {}) const {
        out.push_back({section, severity, std::string(subject), std::move(text), std::string(cure)});
    }
};

bool is_on(std::string_view parameter) { return !parameter.empty() && parameter != "N" && parameter != "0"; }

/// Whether this host claims to post interrupts: module parameters, which the self-test then proves or
/// disproves.
bool claims_posting(const HostFacts& host) {
    return (host.flavour == KvmFlavour::Vmx && is_on(host.parameters.enable_apicv)) ||
           (host.flavour == KvmFlavour::Svm && is_on(host.parameters.avic));
}

void judge_apicv(const HostFacts& host, const Adder& add) {
    if (is_on(host.parameters.enable_apicv)) return add(Severity::Ok, "APICv", "on (kvm_intel.enable_apicv)");
    if (host.cpu.has_posted_interrupts)
        return add(Severity::Problem, "APICv", "the processor has it, but kvm_intel.enable_apicv is off",
                   "sudo modprobe -r kvm_intel && sudo modprobe kvm_intel enable_apicv=1");
    add(Severity::Note, "APICv", "this processor has no posted interrupts, or hides them");
}

void judge_avic(const HostFacts& host, const Adder& add) {
    if (is_on(host.parameters.avic)) {
        return add(Severity::Ok, "AVIC",
                   host.cpu.has_x2avic ? "on (kvm_amd.avic), with x2AVIC"
                                       : "on (kvm_amd.avic); no x2AVIC, so mayfly hides x2APIC from guests");
    }
    if (host.cpu.has_posted_interrupts)
        return add(Severity::Problem, "AVIC", "the processor has it, but kvm_amd.avic is off",
                   "sudo modprobe -r kvm_amd && sudo modprobe kvm_amd avic=1");
    add(Severity::Note, "AVIC", "this processor has no AVIC, or hides it");
}

void judge_ipi(const HostFacts& host, const Adder& add) {
    const bool is_svm = host.flavour == KvmFlavour::Svm;
    const std::string& parameter = is_svm ? host.parameters.avic : host.parameters.enable_ipiv;
    if (is_on(parameter) && host.cpu.has_ipi_virtualisation)
        return add(Severity::Ok, "IPI virtualisation",
                   is_svm ? "on, part of AVIC" : "on (kvm_intel.enable_ipiv)");
    if (!is_svm && host.cpu.has_ipi_virtualisation)
        return add(Severity::Problem, "IPI virtualisation",
                   "the processor has it, but kvm_intel.enable_ipiv is off",
                   "sudo modprobe -r kvm_intel && sudo modprobe kvm_intel enable_ipiv=1");
    add(Severity::Ok, "IPI virtualisation", "none: guests send IPIs by exit or hypercall");
}

void judge_posting(const Facts& facts, const ProbeFacts& probe, const Adder& add) {
    const u32 sent = probe.interrupts_sent;
    if (sent == 0) return;
    if (probe.interrupts_received < sent)
        return add(Severity::Problem, "irqfd",
                   fmt::format("a busy guest got {} of {} interrupts", probe.interrupts_received, sent));
    if (!probe.injections)
        return add(
            Severity::Note, "posted interrupts",
            fmt::format("not known: {} of {} arrived, but this KVM has no counters to tell (Linux 5.14)",
                        sent, sent));
    const u64 injected = *probe.injections;
    const std::string count =
        fmt::format("KVM injected {} times for {} irqfd interrupts of a busy guest", injected, sent);
    if (injected <= sent / 8) return add(Severity::Ok, "posted interrupts", "yes: " + count);
    if (claims_posting(facts.host))
        return add(
            Severity::Note, "posted interrupts",
            "no, although the module says so: " + count + "; was the guest's CPU shared with the sender?");
    add(Severity::Note, "posted interrupts", "no: " + count);
}

void judge_clocksource(const Facts& facts, const Adder& add) {
    const std::string& source = facts.host.clocksource;
    if (source.empty()) return;
    if (source == "tsc") return add(Severity::Ok, "host clock", "tsc");
    const bool can_switch = has_word(facts.host.clocksources_available, "tsc");
    const std::string text =
        source + ": without the tsc as clocksource, kvmclock is not stable and slower to read";
    add(facts.host.cpu.is_guest && !can_switch ? Severity::Note : Severity::Problem, "host clock", text,
        can_switch ? kTscCure : std::string_view{});
}

void judge_kvmclock(const KvmFacts& kvm, const std::optional<ProbeFacts>& probe, const Adder& add) {
    const bool is_offered = (kvm.paravirt_features & kFeatureClockStable) != 0;
    if (!probe || !probe->kvmclock_stable)
        return add(
            Severity::Note, "kvmclock",
            is_offered ? "the stable bit is offered, but no guest could be asked" : "no stable bit offered");
    if (*probe->kvmclock_stable && is_offered)
        return add(Severity::Ok, "kvmclock", "stable, as a guest sees it: vCPUs need no common clock update");
    add(Severity::Note, "kvmclock",
        "not stable, as a guest sees it: its vCPUs must agree on each time they read");
}

std::string frequency(double khz) {
    return khz >= 1e6 ? fmt::format("{:.3f} GHz", khz / 1e6) : fmt::format("{:.3f} MHz", khz / 1e3);
}

void judge_tsc(const Facts& facts, const KvmFacts& kvm, const Adder& add) {
    const u32 khz = facts.probe ? facts.probe->tsc_khz : 0;
    if (khz == 0)
        add(Severity::Note, "TSC", "KVM does not tell its frequency: guests must measure it");
    else
        add(Severity::Ok, "TSC", frequency(khz) + (facts.host.cpu.has_invariant_tsc ? ", invariant" : ""));
    add(Severity::Ok, "TSC scaling",
        kvm.has_tsc_scaling ? "yes: a guest can keep its frequency on another host"
                            : "no: guests run at the host's frequency");
    add(Severity::Ok, "LAPIC timer", frequency(1e6 / kvm.apic_bus_ns));
}

void judge_ring0(const ProbeFacts& probe, const Adder& add) {
    if (!probe.ring0_instruction_ns) return add(Severity::Note, "guest ring 0", "not measured");
    const std::string each = print_ns(*probe.ring0_instruction_ns) + " an instruction";
    if (is_interpreted(probe))
        return add(Severity::Problem, "guest ring 0",
                   "interpreted, " + each +
                       ": kernels start hundreds of times slower, and those that use an "
                       "instruction KVM cannot emulate stop; only a host with VT-x or AMD-V cures it");
    add(Severity::Ok, "guest ring 0", "native, " + each);
}

}  // namespace

void judge_interrupts(const Facts& facts, Findings& out) {
    const Adder add{out, Section::Interrupts};
    switch (facts.host.flavour) {
        case KvmFlavour::Vmx:
            judge_apicv(facts.host, add);
            judge_ipi(facts.host, add);
            break;
        case KvmFlavour::Svm:
            judge_avic(facts.host, add);
            judge_ipi(facts.host, add);
            break;
        case KvmFlavour::Pvm:
            add(Severity::Note, "APICv, AVIC", "none: this KVM has no hardware to post interrupts with");
            break;
        case KvmFlavour::Unknown: break;
    }
    if (facts.probe) judge_posting(facts, *facts.probe, add);
    if (!facts.kvm) return;
    const bool has_pv_eoi = (facts.kvm->paravirt_features & kFeaturePvEoi) != 0;
    add(has_pv_eoi ? Severity::Ok : Severity::Note, "PV EOI",
        has_pv_eoi ? "offered: most EOIs need no exit where interrupts are not posted"
                   : "not offered: each EOI may exit");
    add(facts.kvm->has_x2apic ? Severity::Ok : Severity::Note, "x2APIC",
        facts.kvm->has_x2apic ? "offered to guests" : "not offered to guests");
}

void judge_time(const Facts& facts, Findings& out) {
    const Adder add{out, Section::Time};
    judge_clocksource(facts, add);
    if (!facts.kvm) return;
    judge_kvmclock(*facts.kvm, facts.probe, add);
    judge_tsc(facts, *facts.kvm, add);
}

void judge_speed(const Facts& facts, Findings& out) {
    if (!facts.probe) return;
    const Adder add{out, Section::Speed};
    const ProbeFacts& probe = *facts.probe;
    judge_ring0(probe, add);
    const auto say = [&](std::string_view subject, const std::optional<u64>& ns, std::string_view what) {
        if (ns) add(Severity::Ok, subject, fmt::format("{} {}", print_ns(static_cast<double>(*ns)), what));
    };
    if (probe.create_vm_ns) {
        const double ns = static_cast<double>(*probe.create_vm_ns);
        const bool is_slow = ns > kSlowCreationNs;
        add(is_slow ? Severity::Note : Severity::Ok, "create a VM",
            print_ns(ns) + (is_slow ? ", slow; see \"VM creation\" above" : ""));
    }
    say("first exit", probe.first_exit_ns, "after the first KVM_RUN");
    say("port exit", probe.user_exit_ns, "to user space and back");
    say("doorbell", probe.doorbell_ns, "for a port write that KVM turns into an ioeventfd");
    say("KVM_SIGNAL_MSI", probe.signal_msi_ns, "a call");
    say("irqfd", probe.interrupt_ns, "until the handler of a busy guest has run (median)");
}

}  // namespace mayfly
