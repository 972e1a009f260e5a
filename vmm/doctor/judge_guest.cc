// SPDX-License-Identifier: Apache-2.0
// Sections interrupts, time and speed: what a guest experiences.
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "vmm/doctor/facts/parse.h"
#include "vmm/doctor/judge.h"
#include "vmm/kvm/host_kind.h"

namespace mayfly {

namespace {

using Findings = std::vector<Finding>;

// Linux Documentation/virt/kvm/x86/cpuid.rst, "KVM CPUID Features".
constexpr u32 kFeaturePvEoi = 1 << 6;
constexpr u32 kFeatureClockStable = 1 << 24;

constexpr std::string_view kTscCure =
    "echo tsc | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource";
constexpr double kSlowCreationNs = 5e6;

constexpr i64 kKvmTolerancePpm = 250;    // tsc_tolerance_ppm where nobody has set it
constexpr i64 kMeasuringPpm = 50;        // how far off two measured rates of one TSC may be
constexpr u64 kLateTimerNs = 5'000'000;  // longer than any sleep of a processor or scheduler's slice

struct Adder {
    Findings& out;
    Section section;
    void operator()(Severity severity, std::string_view subject, std::string text,
                    std::string_view cure = {}) const {
        out.push_back({section, severity, std::string(subject), std::move(text), std::string(cure)});
    }
};

/// Whether this host claims to post interrupts: module parameters, which the self-test then proves or
/// disproves.
bool claims_posting(const HostFacts& host) {
    return (host.flavour == KvmFlavour::Vmx && is_parameter_on(host.parameters.enable_apicv)) ||
           (host.flavour == KvmFlavour::Svm && is_parameter_on(host.parameters.avic));
}

void judge_apicv(const HostFacts& host, const Adder& add) {
    if (is_parameter_on(host.parameters.enable_apicv))
        return add(Severity::Ok, "APICv", "on (kvm_intel.enable_apicv)");
    if (host.cpu.has_posted_interrupts)
        return add(Severity::Problem, "APICv", "the processor has it, but kvm_intel.enable_apicv is off",
                   "sudo modprobe -r kvm_intel && sudo modprobe kvm_intel enable_apicv=1");
    add(Severity::Note, "APICv", "this processor has no posted interrupts, or hides them");
}

void judge_avic(const HostFacts& host, const Adder& add) {
    if (is_parameter_on(host.parameters.avic)) {
        return add(Severity::Ok, "AVIC",
                   host.cpu.has_x2avic ? "on (kvm_amd.avic), with x2AVIC"
                                       : "on (kvm_amd.avic); no x2AVIC, so mayfly hides x2APIC from guests");
    }
    if (host.cpu.has_posted_interrupts)
        return add(Severity::Problem, "AVIC", "the processor has it, but kvm_amd.avic is off",
                   "sudo modprobe -r kvm_amd && sudo modprobe kvm_amd avic=1");
    add(Severity::Note, "AVIC", "this processor has no AVIC, or hides it");
}

/// The effect of --pit auto here.
void judge_pit(const Facts& facts, const Adder& add) {
    const bool has_avic =
        facts.host.flavour == KvmFlavour::Svm && is_parameter_on(facts.host.parameters.avic);
    add(Severity::Ok, "8254 ticks",
        has_avic ? "late ones are discarded: reinjection would keep AVIC off; --pit reinject keeps them"
                 : "late ones are reinjected, for kernels other than Linux: no AVIC is kept off by it");
}

void judge_ipi(const HostFacts& host, const Adder& add) {
    const bool is_svm = host.flavour == KvmFlavour::Svm;
    const ModuleParameters& parameters = host.parameters;
    const HostSigns signs{host.flavour, parameters.avic, parameters.enable_ipiv, host.cpu.has_x2avic};
    const bool offers_it = host.cpu.has_ipi_virtualisation;
    if (has_hardware_ipi(signs) && offers_it)
        return add(Severity::Ok, "IPI virtualisation",
                   is_svm ? "on, part of AVIC" : "on (kvm_intel.enable_ipiv)");
    if (!is_svm && offers_it)
        return add(Severity::Problem, "IPI virtualisation",
                   "the processor has it, but kvm_intel.enable_ipiv is off",
                   "sudo modprobe -r kvm_intel && sudo modprobe kvm_intel enable_ipiv=1");
    const bool is_avic_alone = is_svm && is_parameter_on(parameters.avic);
    add(Severity::Ok, "IPI virtualisation",
        is_avic_alone ? "off, though AVIC is on (kvm_amd.enable_ipiv; KVM leaves it off where erratum 1235 "
                        "breaks it): guests send IPIs by exit or hypercall"
                      : "none: guests send IPIs by exit or hypercall");
}

void judge_posting(const Facts& facts, const ProbeFacts& probe, const Adder& add) {
    const u32 sent = probe.interrupts_sent;
    if (sent == 0) return;
    if (probe.is_interrupt_lost)
        return add(Severity::Problem, "irqfd",
                   fmt::format("a busy guest got {} of {} interrupts", probe.interrupts_received, sent));
    if (probe.interrupts_received < kProbeInterrupts)
        return add(Severity::Note, "irqfd",
                   fmt::format("a busy guest got {} of {} interrupts in time, too few to judge by",
                               probe.interrupts_received, kProbeInterrupts));
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

std::string frequency(double khz) {
    return khz >= 1e6 ? fmt::format("{:.3f} GHz", khz / 1e6) : fmt::format("{:.3f} MHz", khz / 1e3);
}

/// How much faster `khz` is than the other rate.
i64 ppm_above(double khz, double other_khz) { return std::llround((khz / other_khz - 1) * 1e6); }

std::string ppm_apart(i64 ppm) {
    if (ppm == 0) return "0 ppm from";
    return fmt::format("{} ppm {}", ppm < 0 ? -ppm : ppm, ppm < 0 ? "below" : "above");
}

/// KVM's own tolerance: beyond it two rates count as different.
i64 tolerance_ppm(const HostFacts& host) {
    i64 ppm = kKvmTolerancePpm;
    const std::string& text = host.parameters.tsc_tolerance_ppm;
    std::from_chars(text.data(), text.data() + text.size(), ppm);
    return ppm;
}

/// KVM keeps the rate that the host used when KVM was loaded; a host may refine its rate afterwards.
std::string reload_cure(KvmFlavour flavour) {
    const std::string_view module = flavour == KvmFlavour::Vmx   ? "kvm_intel"
                                    : flavour == KvmFlavour::Svm ? "kvm_amd"
                                    : flavour == KvmFlavour::Pvm ? "kvm_pvm"
                                                                 : "";
    return module.empty() ? "" : fmt::format("sudo modprobe -r {0} kvm && sudo modprobe {0}", module);
}

/// The host's own rate, when KVM tells guests a different one.
std::optional<double> other_host_khz(const Facts& facts) {
    const std::optional<double> host_khz = facts.host.cpu.tsc_khz;
    if (!host_khz || !facts.probe || facts.probe->tsc_khz == 0) return std::nullopt;
    const i64 ppm = ppm_above(facts.probe->tsc_khz, *host_khz);
    const i64 limit = tolerance_ppm(facts.host) + kMeasuringPpm;
    return ppm > limit || ppm < -limit ? host_khz : std::nullopt;
}

void judge_kvmclock(const Facts& facts, const KvmFacts& kvm, const Adder& add) {
    const std::optional<ProbeFacts>& probe = facts.probe;
    const bool is_offered = (kvm.paravirt_features & kFeatureClockStable) != 0;
    if (!probe || !probe->kvmclock_stable)
        return add(
            Severity::Note, "kvmclock",
            is_offered ? "the stable bit is offered, but no guest could be asked" : "no stable bit offered");
    // The rate of a guest's TSC: with scaling the one that KVM tells, else the host's.
    const std::optional<double> khz =
        kvm.has_tsc_scaling ? std::optional<double>(probe->tsc_khz) : facts.host.cpu.tsc_khz;
    if (khz && *khz != 0 && probe->kvmclock_tsc_khz) {
        const i64 ppm = ppm_above(*probe->kvmclock_tsc_khz, *khz);
        if (ppm > kKvmTolerancePpm || ppm < -kKvmTolerancePpm)
            return add(Severity::Note, "kvmclock",
                       fmt::format("counts by a TSC rate {} the real one: guests' clocks drift by {:.0f} s "
                                   "a day; loading KVM again, while no guest runs, cures it",
                                   ppm_apart(ppm), std::abs(static_cast<double>(ppm)) * 0.0864),
                       reload_cure(facts.host.flavour));
    }
    if (*probe->kvmclock_stable && is_offered)
        return add(Severity::Ok, "kvmclock", "stable, as a guest sees it: vCPUs need no common clock update");
    add(Severity::Note, "kvmclock",
        "not stable, as a guest sees it: its vCPUs must agree on each time they read");
}

void judge_tsc_rate(const Facts& facts, const KvmFacts& kvm, const Adder& add) {
    const u32 khz = facts.probe ? facts.probe->tsc_khz : 0;
    if (khz == 0)
        return add(Severity::Note, "TSC", "KVM does not tell its frequency: guests must measure it");
    const std::string rate = frequency(khz) + (facts.host.cpu.has_invariant_tsc ? ", invariant" : "");
    const std::optional<double> host_khz = facts.host.cpu.tsc_khz;
    if (!host_khz) return add(Severity::Ok, "TSC", rate + "; the host's own rate could not be measured");
    const std::string apart = ppm_apart(ppm_above(khz, *host_khz));
    if (!other_host_khz(facts))
        return add(Severity::Ok, "TSC", fmt::format("{}; {} the host's own rate", rate, apart));
    const std::string found =
        fmt::format("KVM tells guests {}, {} the host's own {}", frequency(khz), apart, frequency(*host_khz));
    if (kvm.has_tsc_scaling)
        return add(Severity::Note, "TSC", found + ", and scales their TSC to it: loading KVM again cures it",
                   reload_cure(facts.host.flavour));
    add(Severity::Problem, "TSC",
        fmt::format("{}, without TSC scaling: guests' clocks are wrong, and where KVM's rate is "
                    "below, their timers may never fire; load KVM again while no guest runs, or have it "
                    "tolerate the difference: kvm.tsc_tolerance_ppm, {} now",
                    found, tolerance_ppm(facts.host)),
        reload_cure(facts.host.flavour));
}

void judge_timer(const Facts& facts, const Adder& add) {
    if (!facts.probe || !facts.probe->has_timer_fired) return;
    const ProbeFacts& probe = *facts.probe;
    if (!*probe.has_timer_fired)
        return add(Severity::Problem, "deadline timer",
                   fmt::format("a TSC-deadline timer that a guest set a moment ahead had not fired after "
                               "{} s: a kernel halts forever there{}",
                               kProbeTimerPatienceMs / 1000,
                               other_host_khz(facts) ? ", for the reason said above" : ""),
                   reload_cure(facts.host.flavour));
    const u64 late_ns = probe.timer_late_ns.value_or(0);
    const std::string late = print_ns(static_cast<double>(late_ns));
    if (late_ns > kLateTimerNs)
        return add(Severity::Note, "deadline timer", "fires " + late + " late (median): is the host busy?");
    add(Severity::Ok, "deadline timer", "fires; a halted guest is awake " + late + " later (median)");
}

void judge_tsc(const Facts& facts, const KvmFacts& kvm, const Adder& add) {
    judge_tsc_rate(facts, kvm, add);
    add(Severity::Ok, "TSC scaling",
        kvm.has_tsc_scaling ? "yes: a guest can keep its frequency on another host"
                            : "no: guests run at the host's frequency");
    judge_timer(facts, add);
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

/// The figure is the probe's own; where it is large, section host tells what of it is a wait.
void judge_creation(const Facts& facts, const ProbeFacts& probe, const Adder& add) {
    if (!probe.create_vm_ns) return;
    const double ns = static_cast<double>(*probe.create_vm_ns);
    if (ns <= kSlowCreationNs)
        return add(Severity::Ok, "create a VM", print_ns(ns) + ", the one KVM_CREATE_VM of this probe");
    add(Severity::Note, "create a VM",
        print_ns(ns) +
            (waits_for_kernel_thread(facts.host)
                 ? ", slow, the one KVM_CREATE_VM of this probe: it waited for the kernel thread that "
                   "\"VM creation\" above tells of, without which it takes some 0.1 ms"
                 : ", slow, the one KVM_CREATE_VM of this probe, and not for a kernel thread (\"VM "
                   "creation\" above): is the host busy?"));
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
    judge_pit(facts, add);
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
    judge_kvmclock(facts, *facts.kvm, add);
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
    judge_creation(facts, probe, add);
    say("first exit", probe.first_exit_ns, "after the first KVM_RUN");
    say("port exit", probe.user_exit_ns, "to user space and back");
    say("doorbell", probe.doorbell_ns, "for a port write that KVM turns into an ioeventfd");
    say("KVM_SIGNAL_MSI", probe.signal_msi_ns, "a call");
    say("irqfd", probe.interrupt_ns, "until the handler of a busy guest has run (median)");
}

}  // namespace mayfly
