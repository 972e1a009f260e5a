// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include "vmm/command/commands.h"
#include "vmm/command/outputs/answer.h"
#include "vmm/doctor/facts/host_facts.h"
#include "vmm/doctor/facts/kvm_facts.h"
#include "vmm/doctor/facts/tsc_rate.h"
#include "vmm/doctor/judge.h"
#include "vmm/doctor/print.h"
#include "vmm/doctor/probe/probe.h"
#include "vmm/machine/lifecycle/ending.h"
#include "vmm/os/display.h"

namespace mayfly {

namespace {

Facts gather() {
    Facts facts;
    // The longer ago, the surer the rate is at the end.
    const TscSample began = sample_tsc(CLOCK_MONOTONIC_RAW);
    facts.host = gather_host();
    const Result<KvmSystem> kvm = KvmSystem::open();
    if (!kvm) {
        facts.kvm_error = kvm.error().message();
        return facts;
    }
    facts.kvm = gather_kvm(*kvm);
    facts.probe = run_probe(*kvm);
    facts.host.cpu.tsc_khz = tsc_khz_since(began, CLOCK_MONOTONIC_RAW);
    return facts;
}

TextStyle style_of_stdout() {
    const Display display = display_of(STDOUT_FILENO);
    return {.columns = display.columns, .has_colour = display.has_escapes};
}

}  // namespace

int doctor_command(bool is_json) {
    const Facts facts = gather();
    const Diagnosis diagnosis = judge(facts);
    const std::string text =
        is_json ? doctor_json(diagnosis, facts) : doctor_text(diagnosis, style_of_stdout());
    const int status = print_result(text);
    return diagnosis.can_boot ? status : kStatusFailed;
}

}  // namespace mayfly
