// SPDX-License-Identifier: Apache-2.0
// The doctor's judgement and its printing, on invented hosts.
#include <algorithm>
#include <cerrno>
#include <string>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/unit/vmm/doctor/doctor_hosts.h"
#include "vmm/doctor/facts/tsc_rate.h"
#include "vmm/doctor/judge.h"
#include "vmm/doctor/print.h"
#include "vmm/doctor/probe/probe.h"

using namespace mayfly;

TEST_CASE("a well set up VMX host boots guests without problems or notes", "[doctor]") {
    const Diagnosis diagnosis = judge(vmx_host());
    CHECK(diagnosis.can_boot);
    CHECK(diagnosis.verdict == "mayfly can boot guests here: 0 problems, 0 notes");
    CHECK(find(diagnosis, "posted interrupts")->severity == Severity::Ok);
    CHECK(find(diagnosis, "APICv")->severity == Severity::Ok);
    CHECK(find(diagnosis, "guest ring 0")->text == "native, 0.3 ns an instruction");
}

TEST_CASE("a probe's own failure says nothing against guests", "[doctor]") {
    Facts facts = vmx_host();
    facts.probe = ProbeFacts{};
    facts.probe->unfinished = "pthread_create: Resource temporarily unavailable";
    const Diagnosis diagnosis = judge(facts);
    CHECK(diagnosis.can_boot);
    CHECK(diagnosis.problems == 0);
    CHECK(diagnosis.verdict.find("mayfly found nothing against guests here, but ran none: ") == 0);
    CHECK(find(diagnosis, "probe guest")->text.find("was not run: pthread_create") == 0);
}

TEST_CASE("a guest that KVM refuses, or that crashes, keeps mayfly from booting", "[doctor]") {
    Facts facts = vmx_host();
    facts.probe->failure = "the probe guest ended with KVM_EXIT_SHUTDOWN";
    facts.probe->unfinished = "this host gave the guest too little of a CPU";
    const Diagnosis diagnosis = judge(facts);
    CHECK_FALSE(diagnosis.can_boot);
    CHECK(find(diagnosis, "probe guest")->severity == Severity::Problem);
    CHECK(find(diagnosis, "probe guest")->text == facts.probe->failure);
    CHECK(diagnosis.verdict.find("mayfly cannot boot guests here: ") == 0);
}

TEST_CASE("a guest that ends early is a note with its reason, and its measurements count", "[doctor]") {
    Facts facts = vmx_host();
    facts.probe->user_exit_ns = 1500;
    const Diagnosis before = judge(facts);
    facts.probe->early_end = "the probe guest ended with KVM_EXIT_SHUTDOWN";
    facts.probe->unfinished = "this host gave the guest too little of a CPU";
    const Diagnosis diagnosis = judge(facts);
    CHECK(diagnosis.can_boot);
    CHECK(find(diagnosis, "probe guest")->severity == Severity::Note);
    CHECK(find(diagnosis, "probe guest")->text.find(facts.probe->early_end) == 0);
    CHECK(diagnosis.findings.size() == before.findings.size());
    CHECK(find(diagnosis, "port exit")->text == find(before, "port exit")->text);
}

TEST_CASE("a PVM host boots, and its interpreted ring 0 is named with its price", "[doctor]") {
    Facts facts = vmx_host();
    facts.host.flavour = KvmFlavour::Pvm;
    facts.probe->ring0_instruction_ns = 850;
    const Diagnosis diagnosis = judge(facts);
    CHECK(diagnosis.can_boot);
    CHECK(find(diagnosis, "guest ring 0")->severity == Severity::Problem);
    CHECK(find(diagnosis, "guest ring 0")->text.find("interpreted, 850 ns") == 0);
}

TEST_CASE("an emulated processor's 5 ns an instruction are native", "[doctor]") {
    ProbeFacts probe;
    probe.ring0_instruction_ns = 5;
    CHECK_FALSE(is_interpreted(probe));
    probe.ring0_instruction_ns = 600;
    CHECK(is_interpreted(probe));
}

TEST_CASE("a required capability that is missing keeps mayfly from booting", "[doctor]") {
    Facts facts = vmx_host();
    facts.kvm->capabilities[0].value = 0;
    const Diagnosis diagnosis = judge(facts);
    CHECK_FALSE(diagnosis.can_boot);
    CHECK(find(diagnosis, "needed, missing")->text == "KVM_CAP_USER_MEMORY (3): guest RAM");
}

TEST_CASE("a wanted capability that is missing is only noted", "[doctor]") {
    Facts facts = vmx_host();
    facts.kvm->capabilities[1].value = 0;
    const Diagnosis diagnosis = judge(facts);
    CHECK(diagnosis.can_boot);
    CHECK(find(diagnosis, "missing")->severity == Severity::Note);
}

TEST_CASE("a forbidden /dev/kvm is cured by its group", "[doctor]") {
    Facts facts = without_kvm(EACCES);
    facts.host.kvm_device.is_member = false;
    const Diagnosis diagnosis = judge(facts);
    CHECK_FALSE(diagnosis.can_boot);
    CHECK(find(diagnosis, "/dev/kvm")->cure == "sudo usermod -aG kvm $USER");
    facts.host.kvm_device.is_listed = true;
    CHECK(finding(facts, "/dev/kvm").cure == "newgrp kvm");
    facts.host.kvm_device.mode = 0600;
    CHECK(finding(facts, "/dev/kvm").cure.find("sudo chgrp kvm /dev/kvm") == 0);
}

TEST_CASE("a missing /dev/kvm has the cure for its cause", "[doctor]") {
    Facts facts = without_kvm(ENOENT);
    facts.host.kvm_device.exists = false;
    facts.host.flavour = KvmFlavour::Unknown;
    CHECK(finding(facts, "/dev/kvm").cure == "sudo modprobe kvm_intel");
    facts.host.cpu.has_vmx = false;
    CHECK(finding(facts, "/dev/kvm").cure.empty());
    facts.host.cpu.is_guest = true;
    CHECK(finding(facts, "/dev/kvm").cure == "modprobe kvm_intel nested=1");
    facts.host.is_container = true;
    CHECK(finding(facts, "/dev/kvm").cure == "docker run --device /dev/kvm IMAGE");
}

TEST_CASE("kernels before 6.12 want favordynmods", "[doctor]") {
    Facts facts = vmx_host();
    facts.host.kernel_release = "6.1.0-28-amd64";
    facts.host.has_cgroup2 = true;
    CHECK(finding(facts, "VM creation").cure == "sudo mount -o remount,favordynmods /sys/fs/cgroup");
    facts.host.has_favordynmods = true;
    CHECK(finding(facts, "VM creation").severity == Severity::Ok);
}

TEST_CASE("how long a VM took to be made is told with what it waited for", "[doctor]") {
    Facts facts = vmx_host();
    facts.host.kernel_release = "6.1.0-28-amd64";
    facts.host.has_cgroup2 = true;
    facts.probe->create_vm_ns = 14'500'000;
    const Finding slow = finding(facts, "create a VM");
    CHECK(slow.severity == Severity::Note);
    CHECK(slow.text.find("14.5 ms, slow") == 0);
    CHECK(slow.text.find("waited for the kernel thread") != std::string::npos);
    CHECK(slow.text.find("0.1 ms") != std::string::npos);
    CHECK(finding(facts, "VM creation").text.find("10-70 ms") != std::string::npos);
    facts.host.parameters.nx_huge_pages = "never";
    CHECK(finding(facts, "VM creation").severity == Severity::Ok);
    CHECK(finding(facts, "create a VM").text.find("not for a kernel thread") != std::string::npos);
    facts.probe->create_vm_ns = 92'000;
    CHECK(finding(facts, "create a VM").severity == Severity::Ok);
    CHECK(finding(facts, "create a VM").text.find("92.0 us") == 0);
}

TEST_CASE("a forbidden io_uring is cured by its sysctl", "[doctor]") {
    Facts facts = vmx_host();
    facts.host.ring = {.setup_errno = EPERM, .features = {}, .operation_count = 0};
    facts.host.io_uring_disabled = "2";
    CHECK(finding(facts, "io_uring").cure == "sudo sysctl kernel.io_uring_disabled=0");
}

TEST_CASE("a host clock that could be the tsc is a problem with its cure", "[doctor]") {
    Facts facts = vmx_host();
    facts.host.clocksource = "hpet";
    facts.host.clocksources_available = "tsc hpet acpi_pm";
    CHECK(finding(facts, "host clock").severity == Severity::Problem);
    CHECK(finding(facts, "host clock").cure.find("echo tsc | sudo tee") == 0);
}

TEST_CASE("a TSC rate within KVM's tolerance is fine", "[doctor]") {
    Facts facts = vmx_host();
    CHECK(finding(facts, "TSC").text == "2.100 GHz; 5 ppm below the host's own rate");
    facts.host.cpu.tsc_khz = 2'100'000 * 1.000'25;
    CHECK(finding(facts, "TSC").severity == Severity::Ok);
    facts.host.cpu.tsc_khz.reset();
    CHECK(finding(facts, "TSC").severity == Severity::Ok);
}

TEST_CASE("a TSC rate that is not the host's is a problem without TSC scaling", "[doctor]") {
    Facts facts = svm_host();
    facts.probe->tsc_khz = 2'297'536;
    facts.host.cpu.tsc_khz = 2'299'973;
    const Finding tsc = finding(facts, "TSC");
    CHECK(tsc.severity == Severity::Problem);
    CHECK(tsc.text.find("KVM tells guests 2.298 GHz, 1060 ppm below the host's own 2.300 GHz") == 0);
    CHECK(tsc.text.find("kvm.tsc_tolerance_ppm, 250 now") != std::string::npos);
    CHECK(tsc.cure == "sudo modprobe -r kvm_amd kvm && sudo modprobe kvm_amd");
    CHECK(judge(facts).can_boot);
    // KVM tolerates the difference where it is configured to.
    facts.host.parameters.tsc_tolerance_ppm = "2000";
    CHECK(finding(facts, "TSC").severity == Severity::Ok);
    facts.host.parameters.tsc_tolerance_ppm = "250";
    facts.kvm->has_tsc_scaling = true;
    CHECK(finding(facts, "TSC").severity == Severity::Note);
}

TEST_CASE("a timer that never fires keeps kernels from booting, and its cure is named", "[doctor]") {
    Facts facts = svm_host();
    facts.probe->tsc_khz = 2'297'536;
    facts.host.cpu.tsc_khz = 2'299'973;
    facts.probe->has_timer_fired = false;
    facts.probe->timer_late_ns.reset();
    const Diagnosis diagnosis = judge(facts);
    CHECK_FALSE(diagnosis.can_boot);
    const Finding timer = *find(diagnosis, "deadline timer");
    CHECK(timer.severity == Severity::Problem);
    CHECK(timer.text.find("had not fired after 2 s") != std::string::npos);
    CHECK(timer.text.find("for the reason said above") != std::string::npos);
    CHECK(timer.cure == "sudo modprobe -r kvm_amd kvm && sudo modprobe kvm_amd");
}

TEST_CASE("a timer that fires late is a note, and an untested one is not mentioned", "[doctor]") {
    Facts facts = vmx_host();
    CHECK(finding(facts, "deadline timer").severity == Severity::Ok);
    facts.probe->timer_late_ns = 35'000'000;
    CHECK(finding(facts, "deadline timer").severity == Severity::Note);
    CHECK(judge(facts).can_boot);
    facts.probe->has_timer_fired.reset();
    CHECK(find(judge(facts), "deadline timer") == nullptr);
    CHECK(judge(facts).can_boot);
}

TEST_CASE("a kvmclock that counts by another rate than the TSC's drifts", "[doctor]") {
    Facts facts = vmx_host();
    facts.probe->kvmclock_tsc_khz = 2'100'000 * 0.999;
    const Finding clock = finding(facts, "kvmclock");
    CHECK(clock.severity == Severity::Note);
    CHECK(clock.text.find("drift by 87 s a day") != std::string::npos);
    CHECK(clock.cure == "sudo modprobe -r kvm_intel kvm && sudo modprobe kvm_intel");
}

TEST_CASE("a guest that waited for a CPU had no chance, one that waited for something else had", "[doctor]") {
    constexpr u64 kSecond = 1'000'000'000;
    CHECK(had_chance(kSecond, kSecond / 2, 'R'));
    CHECK_FALSE(had_chance(kSecond, kSecond / 10, 'R'));
    CHECK_FALSE(had_chance(kSecond, 0, '\0'));
    CHECK(had_chance(kSecond, 0, 'S'));
    CHECK(had_chance(kSecond, 0, 'D'));
}

TEST_CASE("a clock page's multiplier and shift are a rate", "[doctor]") {
    // 1 GHz: a tick is a nanosecond. Linux writes that as 2^31 with a shift of 1.
    CHECK(kvmclock_tsc_khz(0x8000'0000, 1) == 1'000'000.0);
    CHECK(kvmclock_tsc_khz(0x8000'0000, 0) == 2'000'000.0);
    CHECK(kvmclock_tsc_khz(0x8000'0000, -1) == 4'000'000.0);
}

TEST_CASE("two samples of the TSC give a rate and its uncertainty", "[doctor]") {
    const auto rate = tsc_rate({.ticks = 1000, .ns = 500, .doubt_ticks = 100},
                               {.ticks = 2'001'000, .ns = 1'000'500, .doubt_ticks = 100});
    REQUIRE(rate.has_value());
    CHECK(rate->khz == 2'000'000.0);
    CHECK(rate->doubt_ppm == 50.0);
    CHECK_FALSE(tsc_rate({.ticks = 5, .ns = 5, .doubt_ticks = 0}, {.ticks = 6, .ns = 5, .doubt_ticks = 0}));
}

TEST_CASE("facts of an unknown host are judged without a crash", "[doctor]") {
    const Diagnosis diagnosis = judge(Facts{});
    CHECK_FALSE(diagnosis.can_boot);
    CHECK(diagnosis.problems >= 1);
}

TEST_CASE("text lines stay within the columns and commands stay whole", "[doctor]") {
    Diagnosis diagnosis;
    diagnosis.findings = {{Section::Kvm, Severity::Problem, "flavour",
                           std::string(20, 'a') + " " + std::string(40, 'b'), "sudo modprobe kvm"}};
    diagnosis.verdict = "done";
    CHECK(doctor_text(diagnosis, {.columns = 80, .has_colour = false}) ==
          "kvm\n"
          "  problem  flavour             aaaaaaaaaaaaaaaaaaaa\n"
          "                               bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n"
          "                               cure: sudo modprobe kvm\n"
          "\n"
          "done\n");
}

TEST_CASE("colour is only used on request", "[doctor]") {
    const Diagnosis diagnosis = judge(vmx_host());
    CHECK(doctor_text(diagnosis, {.columns = 80, .has_colour = false}).find('\x1b') == std::string::npos);
    CHECK(doctor_text(diagnosis, {.columns = 80, .has_colour = true}).find("\x1b[32mok") !=
          std::string::npos);
}

TEST_CASE("the JSON has the findings and the numbers behind them", "[doctor]") {
    Facts facts = vmx_host();
    facts.host.cpu.hypervisor = "\xff";
    facts.host.cpu.is_guest = true;
    const auto root = nlohmann::json::parse(doctor_json(judge(facts), facts));
    CHECK(root["can_boot"] == true);
    CHECK(root["measured"]["irq_injections"] == 0);
    CHECK(root["measured"]["guest_ran"] == true);
    CHECK(root["measured"]["unfinished"].is_null());
    CHECK(root["measured"]["deadline_timer_fired"] == true);
    CHECK(root["measured"]["deadline_timer_late_ns"] == 40'000);
    CHECK(root["measured"]["kvmclock_tsc_khz"] == 2'100'000.0);
    CHECK(root["host"]["tsc_khz"] == 2'100'010.0);
    CHECK(root["host"]["tsc_tolerance_ppm"] == "250");
    CHECK(root["kvm"]["capabilities"][1]["number"] == 32);
    CHECK(root["findings"].size() == judge(facts).findings.size());
    const Facts none = without_kvm(ENOENT);
    CHECK(nlohmann::json::parse(doctor_json(judge(none), none))["kvm"].is_null());
}

TEST_CASE("times are printed in the unit that suits them", "[doctor]") {
    CHECK(print_ns(0.31) == "0.3 ns");
    CHECK(print_ns(850) == "850 ns");
    CHECK(print_ns(5500) == "5.5 us");
    CHECK(print_ns(2.5e6) == "2.5 ms");
}
