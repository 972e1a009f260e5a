// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/kvm_answers.h"

#include <algorithm>

#include "vmm/kvm/kvm_system.h"

namespace mayfly {

namespace {

bool is_same_entry(const kvm_cpuid_entry2& one, const kvm_cpuid_entry2& other) {
    return one.function == other.function && one.index == other.index && one.flags == other.flags &&
           one.eax == other.eax && one.ebx == other.ebx && one.ecx == other.ecx && one.edx == other.edx;
}

/// Of the first of two CPUs.
CpuidTable guest_table(const KvmAnswers& answers) {
    CpuidTable table = answers.cpuid;
    make_guest_cpuid(table, {.cpu_count = 2}, 0);
    return table;
}

}  // namespace

Result<std::unique_ptr<KvmAnswers>> ask(const KvmSystem& kvm) {
    // Its table need not be cleared.
    auto answers = std::make_unique_for_overwrite<KvmAnswers>();
    answers->host = detect_host_kind();
    answers->run_bytes = static_cast<u32>(kvm.run_bytes());
    answers->has_tsc_deadline = kvm.check(KVM_CAP_TSC_DEADLINE_TIMER) != 0;
    TRY_VOID(kvm.fill(answers->cpuid));
    return answers;
}

bool mean_the_same(const KvmAnswers& one, const KvmAnswers& other) {
    if (one.host != other.host || one.run_bytes != other.run_bytes ||
        one.has_tsc_deadline != other.has_tsc_deadline)
        return false;
    const CpuidTable first = guest_table(one);
    const CpuidTable second = guest_table(other);
    return std::ranges::equal(first.entries(), second.entries(), is_same_entry);
}

}  // namespace mayfly
