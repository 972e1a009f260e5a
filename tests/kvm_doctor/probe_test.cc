// SPDX-License-Identifier: Apache-2.0
// The doctor's probe guest on whatever KVM is here. Skips (status 77) without one.
#include <chrono>

#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

#include "vmm/doctor/probe.h"

using namespace mayfly;
using std::chrono::milliseconds;

TEST_CASE("the probe guest runs to its end and gets every interrupt", "[doctor]") {
    const auto kvm = KvmSystem::open();
    REQUIRE(kvm);
    const ProbeFacts facts = run_probe(*kvm, milliseconds(5000));
    CHECK(facts.failure.empty());
    CHECK(facts.ring0_instruction_ns.has_value());
    CHECK(facts.user_exit_ns.has_value());
    CHECK(facts.doorbell_ns.has_value());
    CHECK(facts.signal_msi_ns.has_value());
    CHECK(facts.interrupts_sent == 64);
    CHECK(facts.interrupts_received == 64);
    // None where they are posted; else one each, and another for each entry that KVM had to cancel.
    CHECK(facts.injections.value_or(0) <= 128);
}

TEST_CASE("a probe that has no time is stopped and says so", "[doctor]") {
    const auto kvm = KvmSystem::open();
    REQUIRE(kvm);
    const auto before = std::chrono::steady_clock::now();
    const ProbeFacts facts = run_probe(*kvm, milliseconds(0));
    CHECK(std::chrono::steady_clock::now() - before < milliseconds(20'000));
    CHECK(facts.failure == "the probe guest ran out of time");
}

int main(int argc, char** argv) {
    constexpr int kSkipped = 77;
    if (!KvmSystem::open()) return kSkipped;
    return Catch::Session().run(argc, argv);
}
