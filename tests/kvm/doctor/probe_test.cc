// SPDX-License-Identifier: Apache-2.0
// The doctor's probe guest on whatever KVM is here. Skips (status 77) without one.
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include <linux/kvm.h>

#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

#include "firmware/layout.h"
#include "vmm/doctor/probe/probe.h"
#include "vmm/doctor/probe/probe_machine.h"

using namespace mayfly;
using std::chrono::milliseconds;

namespace {

/// However busy the host.
constexpr ProbeLimits kPatient{.fair = milliseconds(30'000), .longest = milliseconds(30'000)};

}  // namespace

TEST_CASE("the probe guest runs to its end, gets every interrupt, and its timer fires", "[doctor]") {
    const auto kvm = KvmSystem::open();
    REQUIRE(kvm);
    const ProbeFacts facts = run_probe(*kvm, kPatient);
    CHECK(facts.failure.empty());
    CHECK(facts.early_end.empty());
    CHECK(facts.unfinished.empty());
    CHECK(facts.has_run);
    CHECK(facts.ring0_instruction_ns.has_value());
    CHECK(facts.user_exit_ns.has_value());
    CHECK(facts.doorbell_ns.has_value());
    CHECK(facts.signal_msi_ns.has_value());
    CHECK(facts.interrupts_sent == kProbeInterrupts);
    CHECK(facts.interrupts_received == kProbeInterrupts);
    CHECK_FALSE(facts.is_interrupt_lost);
    // None where they are posted; else one each, and another for each entry that KVM had to cancel.
    CHECK(facts.injections.value_or(0) <= 128);
    if (kvm->check(KVM_CAP_TSC_DEADLINE_TIMER) != 0) CHECK(facts.has_timer_fired == true);
}

TEST_CASE("the probe guest has touched its stack before an interrupt can come", "[doctor]") {
    const auto kvm = KvmSystem::open();
    REQUIRE(kvm);
    auto ram = GuestRam::create({.size_bytes = MAYFLY_PROBE_RAM_BYTES, .hole_base = layout::kHole});
    REQUIRE(ram);
    auto probe = make_probe_machine(*kvm, std::move(*ram), 0);
    REQUIRE(probe);
    REQUIRE((*probe)->vcpu.run().value() == RunStatus::Exited);
    const kvm_run& run = (*probe)->vcpu.run_page();
    REQUIRE(run.exit_reason == KVM_EXIT_IO);
    CHECK(run.io.port == MAYFLY_PROBE_PORT_STEP);
    CHECK((*probe)->word(Gpa{MAYFLY_PROBE_STACK_TOP - 4}) == MAYFLY_PROBE_STACK_MARK);
}

TEST_CASE("a probe that has no time is stopped, and the guest's end is not waited for", "[doctor]") {
    const auto kvm = KvmSystem::open();
    REQUIRE(kvm);
    const auto before = std::chrono::steady_clock::now();
    const ProbeFacts facts = run_probe(*kvm, {.fair = milliseconds(0), .longest = milliseconds(0)});
    CHECK(std::chrono::steady_clock::now() - before < milliseconds(20'000));
    CHECK(facts.failure.empty() == !facts.unfinished.empty());
}

TEST_CASE("a probe whose time is over before its interrupts still shows that a guest runs", "[doctor]") {
    const auto kvm = KvmSystem::open();
    REQUIRE(kvm);
    const ProbeFacts facts = run_probe(*kvm, {.fair = milliseconds(0), .longest = milliseconds(30'000)});
    CHECK(facts.failure.empty());
    CHECK(facts.interrupts_received < kProbeInterrupts);
    CHECK_FALSE(facts.is_interrupt_lost);
    CHECK_FALSE(facts.unfinished.empty());
}

TEST_CASE("a timer that KVM's wrong idea of the TSC puts off is found, and the guest stopped", "[doctor]") {
    const auto kvm = KvmSystem::open();
    REQUIRE(kvm);
    if (kvm->check(KVM_CAP_TSC_DEADLINE_TIMER) == 0) return;
    const ProbeFacts right = run_probe(*kvm, kPatient);
    // More than KVM tolerates below the host's rate. With scaling it makes that rate; without, Linux 6.1 and
    // others leave the vCPU without a working one.
    const u32 wrong_khz = right.tsc_khz - right.tsc_khz / 1000 * 2;
    const ProbeFacts facts = run_probe(*kvm, kPatient, wrong_khz);
    if (!facts.failure.empty()) return;  // this KVM cannot be given a rate
    REQUIRE(facts.has_timer_fired.has_value());
    std::printf("TSC scaling %d: given %u instead of %u kHz, the timer %s\n",
                kvm->check(KVM_CAP_TSC_CONTROL) != 0, wrong_khz, right.tsc_khz,
                *facts.has_timer_fired ? "fires" : "does not fire");
    if (kvm->check(KVM_CAP_TSC_CONTROL) != 0) CHECK(*facts.has_timer_fired);
    const auto told = std::getenv("MAYFLY_EXPECT_DEAD_TIMER");
    if (told != nullptr) CHECK_FALSE(*facts.has_timer_fired);
}

int main(int argc, char** argv) {
    constexpr int kSkipped = 77;
    if (!KvmSystem::open()) return kSkipped;
    return Catch::Session().run(argc, argv);
}
