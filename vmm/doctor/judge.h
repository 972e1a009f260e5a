// SPDX-License-Identifier: Apache-2.0
// Judge: from facts to findings: good news, notes, problems, and the command that cures each. Pure functions:
// same facts, same findings. Thread: values only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "vmm/doctor/facts/facts.h"

namespace mayfly {

enum class Severity : u8 {
    Ok,
    Note,     ///< something is absent or slower than it could be
    Problem,  ///< keeps mayfly or its guests from working, or costs much and can be cured
};

[[nodiscard]] std::string_view to_string(Severity severity);

enum class Section : u8 { Host, Kvm, Interrupts, Time, Speed, Io, Memory };

[[nodiscard]] std::string_view to_string(Section section);

struct Finding {
    Section section = Section::Host;
    Severity severity = Severity::Ok;
    std::string subject;  ///< at most 18 characters
    std::string text;     ///< one sentence, lower case, no full stop
    std::string cure;     ///< a shell command; empty when no command helps
};

struct Diagnosis {
    std::vector<Finding> findings;  ///< sections in order
    bool can_boot = false;
    u32 problems = 0;
    u32 notes = 0;
    std::string verdict;  ///< one line
};

[[nodiscard]] Diagnosis judge(const Facts& facts);

// --- the judge's parts, one per section; each appends ---

void judge_host(const Facts& facts, std::vector<Finding>& findings);
void judge_kvm(const Facts& facts, std::vector<Finding>& findings);
void judge_interrupts(const Facts& facts, std::vector<Finding>& findings);
void judge_time(const Facts& facts, std::vector<Finding>& findings);
void judge_speed(const Facts& facts, std::vector<Finding>& findings);
void judge_io(const Facts& facts, std::vector<Finding>& findings);
void judge_memory(const Facts& facts, std::vector<Finding>& findings);

/// KVM_CREATE_VM may wait here for a kernel thread of KVM's to change its cgroups.
[[nodiscard]] bool waits_for_kernel_thread(const HostFacts& host);

/// Ring 0 takes so long for an instruction that KVM must be interpreting it: a processor needs about 0.3
/// ns, an emulated one 5 ns, KVM's interpreter 500 ns and more.
[[nodiscard]] bool is_interpreted(const ProbeFacts& probe);

/// "850 ns", "12.3 us", "4.56 ms".
[[nodiscard]] std::string print_ns(double ns);

}  // namespace mayfly
