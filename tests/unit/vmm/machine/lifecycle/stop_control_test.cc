// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/lifecycle/stop_control.h"

#include <memory>
#include <thread>
#include <vector>

#include <poll.h>

#include <catch2/catch.hpp>

using namespace mayfly;

TEST_CASE("the first reason to end counts", "[stop_control]") {
    const auto stop = std::make_unique<StopControl>();
    CHECK_FALSE(stop->is_requested());
    stop->end({EndKind::Crash, 0, "first"});
    stop->end({EndKind::HostError, 0, "second"});
    stop->decide(Verdict::ExitCode, 7);
    stop->end_from_signal(EndKind::Signal, 15);
    CHECK(stop->is_requested());
    CHECK(stop->ending().kind == EndKind::Crash);
    CHECK(stop->ending().message == "first");
}

TEST_CASE("verdicts of devices become endings", "[stop_control]") {
    const auto ending = [](Verdict verdict, u64 value) {
        const auto stop = std::make_unique<StopControl>();
        stop->decide(verdict, value);
        return stop->ending();
    };
    CHECK(ending(Verdict::ExitCode, 42).kind == EndKind::ExitCode);
    CHECK(ending(Verdict::ExitCode, 42).value == 42);
    CHECK(ending(Verdict::PowerOff, 0).kind == EndKind::PowerOff);
    CHECK(ending(Verdict::Reset, 0).kind == EndKind::Reset);
    CHECK(ending(Verdict::Panic, 0).kind == EndKind::Panic);
}

TEST_CASE("a signal's ending carries its number", "[stop_control]") {
    const auto stop = std::make_unique<StopControl>();
    stop->end_from_signal(EndKind::Signal, 15);
    CHECK(stop->ending().kind == EndKind::Signal);
    CHECK(stop->ending().value == 15);
}

TEST_CASE("an ending asks every vCPU to leave KVM_RUN", "[stop_control]") {
    const auto stop = std::make_unique<StopControl>();
    std::vector<kvm_run> runs(RunControl::kVcpusMax);
    for (kvm_run& run : runs) stop->vcpus().add_vcpu(run);
    stop->decide(Verdict::PowerOff, 0);
    for (const kvm_run& run : runs) CHECK(run.immediate_exit == 1);
}

TEST_CASE("an ending wakes vCPUs that wait outside of KVM_RUN", "[stop_control]") {
    Result<EventFd> wake = EventFd::create();
    REQUIRE(wake);
    const auto stop = std::make_unique<StopControl>();
    stop->vcpus().set_wake(&*wake);
    pollfd event{.fd = wake->fd().get(), .events = POLLIN, .revents = 0};
    CHECK(::poll(&event, 1, 0) == 0);
    stop->decide(Verdict::Reset, 0);
    CHECK(::poll(&event, 1, 0) == 1);
}

TEST_CASE("of many threads that end the machine at once, one is the reason", "[stop_control]") {
    const auto stop = std::make_unique<StopControl>();
    std::vector<std::thread> threads;
    for (u64 i = 0; i < 8; ++i)
        threads.emplace_back([&stop, i] { stop->end({EndKind::Crash, i, std::to_string(i)}); });
    for (std::thread& thread : threads) thread.join();
    CHECK(stop->ending().message == std::to_string(stop->ending().value));
}
