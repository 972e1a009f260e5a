// SPDX-License-Identifier: Apache-2.0
#include "vmm/doctor/judge.h"

#include <algorithm>

#include <fmt/format.h>

namespace mayfly {

namespace {

constexpr double kInterpretedNs = 100;

bool can_boot(const Facts& facts) {
    if (!facts.kvm || !facts.probe || !facts.probe->failure.empty()) return false;
    // Kernels wait for their first timer before they do anything: they would wait forever.
    if (!facts.probe->has_timer_fired.value_or(true)) return false;
    return std::none_of(
        facts.kvm->capabilities.begin(), facts.kvm->capabilities.end(),
        [](const Capability& capability) { return capability.is_required && capability.value <= 0; });
}

std::string counted(u32 count, std::string_view thing) {
    return fmt::format("{} {}{}", count, thing, count == 1 ? "" : "s");
}

}  // namespace

std::string_view to_string(Severity severity) {
    switch (severity) {
        case Severity::Ok: return "ok";
        case Severity::Note: return "note";
        case Severity::Problem: return "problem";
    }
    return "";
}

std::string_view to_string(Section section) {
    switch (section) {
        case Section::Host: return "host";
        case Section::Kvm: return "kvm";
        case Section::Interrupts: return "interrupts";
        case Section::Time: return "time";
        case Section::Speed: return "speed";
        case Section::Io: return "i/o";
        case Section::Memory: return "memory";
    }
    return "";
}

bool is_interpreted(const ProbeFacts& probe) {
    return probe.ring0_instruction_ns && *probe.ring0_instruction_ns >= kInterpretedNs;
}

std::string print_ns(double ns) {
    if (ns < 10) return fmt::format("{:.1f} ns", ns);
    if (ns < 1e3) return fmt::format("{:.0f} ns", ns);
    if (ns < 1e6) return fmt::format("{:.1f} us", ns / 1e3);
    return fmt::format("{:.1f} ms", ns / 1e6);
}

Diagnosis judge(const Facts& facts) {
    Diagnosis diagnosis;
    judge_host(facts, diagnosis.findings);
    judge_kvm(facts, diagnosis.findings);
    judge_interrupts(facts, diagnosis.findings);
    judge_time(facts, diagnosis.findings);
    judge_speed(facts, diagnosis.findings);
    judge_io(facts, diagnosis.findings);
    judge_memory(facts, diagnosis.findings);
    for (const Finding& finding : diagnosis.findings) {
        if (finding.severity == Severity::Problem) ++diagnosis.problems;
        if (finding.severity == Severity::Note) ++diagnosis.notes;
    }
    diagnosis.can_boot = can_boot(facts);
    const bool is_untried = diagnosis.can_boot && !facts.probe->has_run;
    const std::string_view verdict = is_untried ? "mayfly found nothing against guests here, but ran none"
                                     : diagnosis.can_boot ? "mayfly can boot guests here"
                                                          : "mayfly cannot boot guests here";
    diagnosis.verdict = fmt::format("{}: {}, {}", verdict, counted(diagnosis.problems, "problem"),
                                    counted(diagnosis.notes, "note"));
    return diagnosis;
}

}  // namespace mayfly
