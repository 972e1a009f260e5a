// SPDX-License-Identifier: Apache-2.0
// What the doctor says of interrupts, and of what KVM was told to leave unused.
#include <algorithm>
#include <string>

#include <catch2/catch.hpp>

#include "tests/unit/vmm/doctor/doctor_hosts.h"

namespace mayfly {

TEST_CASE("a well set up SVM host is judged by AVIC", "[doctor]") {
    const Diagnosis diagnosis = judge(svm_host());
    CHECK(diagnosis.problems == 0);
    CHECK(find(diagnosis, "AVIC")->severity == Severity::Ok);
    CHECK(find(diagnosis, "APICv") == nullptr);
    CHECK(find(diagnosis, "posted interrupts")->text.find("yes: KVM injected 0 times for 64") == 0);
}

TEST_CASE("the doctor tells what a switched-off parameter of KVM costs guests", "[doctor]") {
    CHECK(find(judge(vmx_host()), "switched off") == nullptr);
    Facts facts = vmx_host();
    for (const VirtualisationParameter& parameter : kVirtualisationParameters)
        if (parameter.module == "kvm_intel") facts.host.parameters.switched_off.push_back(parameter);
    const Diagnosis diagnosis = judge(facts);
    const auto is_one = [](const Finding& it) { return it.subject == "switched off"; };
    CHECK(std::count_if(diagnosis.findings.begin(), diagnosis.findings.end(), is_one) == 5);
    const Finding* ept = find(diagnosis, "switched off");
    CHECK(ept->severity == Severity::Note);
    CHECK(ept->text ==
          "kvm_intel.ept: KVM shadows guests' page tables: their changes and many page faults are exits");
    CHECK(ept->cure == "sudo modprobe -r kvm_intel && sudo modprobe kvm_intel ept=1");
    CHECK(diagnosis.problems == 0);
}

TEST_CASE("the doctor tells how an 8254's late ticks are treated", "[doctor]") {
    CHECK(finding(vmx_host(), "8254 ticks").text.find("reinjected") != std::string::npos);
    CHECK(finding(svm_host(), "8254 ticks").text.find("discarded: reinjection would keep AVIC off") !=
          std::string::npos);
    Facts facts = svm_host();
    facts.host.parameters.avic = "N";
    CHECK(finding(facts, "8254 ticks").text.find("reinjected") != std::string::npos);
}

TEST_CASE("AVIC that the processor has but the module leaves off is a problem with its cure", "[doctor]") {
    Facts facts = svm_host();
    facts.host.parameters.avic = "N";
    const Finding avic = finding(facts, "AVIC");
    CHECK(avic.severity == Severity::Problem);
    CHECK(avic.cure == "sudo modprobe -r kvm_amd && sudo modprobe kvm_amd avic=1");
}

TEST_CASE("AVIC without x2AVIC says that x2APIC is hidden", "[doctor]") {
    Facts facts = svm_host();
    CHECK(finding(facts, "AVIC").text == "on (kvm_amd.avic), with x2AVIC");
    facts.host.cpu.has_x2avic = false;
    CHECK(finding(facts, "AVIC").text.find("mayfly hides x2APIC from guests") != std::string::npos);
    facts.host.cpu.has_posted_interrupts = false;
    facts.host.parameters.avic = "N";
    CHECK(finding(facts, "AVIC").severity == Severity::Note);
}

TEST_CASE("IPI virtualisation is Intel's by its parameter, and AMD's by AVIC and its own", "[doctor]") {
    CHECK(finding(vmx_host(), "IPI virtualisation").text == "on (kvm_intel.enable_ipiv)");
    Facts facts = vmx_host();
    facts.host.parameters.enable_ipiv = "N";
    const Finding off = finding(facts, "IPI virtualisation");
    CHECK(off.severity == Severity::Problem);
    CHECK(off.cure == "sudo modprobe -r kvm_intel && sudo modprobe kvm_intel enable_ipiv=1");
    facts.host.cpu.has_ipi_virtualisation = false;
    CHECK(finding(facts, "IPI virtualisation").severity == Severity::Ok);
    CHECK(finding(svm_host(), "IPI virtualisation").text == "on, part of AVIC");
    Facts avic = svm_host();
    avic.host.parameters.enable_ipiv = "N";
    CHECK(finding(avic, "IPI virtualisation").text.find("off, though AVIC is on") == 0);
    avic.host.parameters.avic = "N";
    CHECK(finding(avic, "IPI virtualisation").text.find("none: guests send IPIs") == 0);
}

TEST_CASE("as many injections as interrupts disprove the module's claim", "[doctor]") {
    for (Facts facts : {vmx_host(), svm_host()}) {
        facts.probe = native_probe(64);
        const Finding posted = finding(facts, "posted interrupts");
        CHECK(posted.severity == Severity::Note);
        CHECK(posted.text.find("although the module says so: KVM injected 64 times for 64") !=
              std::string::npos);
    }
}

TEST_CASE("a KVM without counters leaves the posted-interrupt verdict open", "[doctor]") {
    Facts facts = vmx_host();
    facts.probe->injections.reset();
    CHECK(finding(facts, "posted interrupts").text.find("not known") == 0);
}

TEST_CASE("an interrupt that a busy guest never got, though it ran, is a problem", "[doctor]") {
    Facts facts = vmx_host();
    facts.probe->interrupts_received = 63;
    facts.probe->is_interrupt_lost = true;
    CHECK(finding(facts, "irqfd").severity == Severity::Problem);
    CHECK(judge(facts).can_boot);
}

TEST_CASE("fewer interrupts than planned, on a busy host, are a note", "[doctor]") {
    Facts facts = vmx_host();
    facts.probe->interrupts_sent = 52;
    facts.probe->interrupts_received = 51;
    facts.probe->injections.reset();
    facts.probe->unfinished = "this host gave the guest too little of a CPU";
    const Diagnosis diagnosis = judge(facts);
    CHECK(diagnosis.can_boot);
    CHECK(diagnosis.problems == 0);
    CHECK(find(diagnosis, "irqfd")->severity == Severity::Note);
    CHECK(find(diagnosis, "irqfd")->text ==
          "a busy guest got 51 of 64 interrupts in time, too few to judge by");
    CHECK(find(diagnosis, "posted interrupts") == nullptr);
    const Finding probe = *find(diagnosis, "probe guest");
    CHECK(probe.severity == Severity::Note);
    CHECK(probe.text.find("ran, and not all was measured: this host gave") == 0);
    CHECK(probe.text.find("run mayfly doctor again when the host is quiet") != std::string::npos);
}

}  // namespace mayfly
