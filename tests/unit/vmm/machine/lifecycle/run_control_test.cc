// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/lifecycle/run_control.h"

#include <atomic>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include <poll.h>
#include <signal.h>

#include <catch2/catch.hpp>

#include "vmm/os/clock.h"

using namespace mayfly;

namespace {

using State = RunControl::VcpuState;

constexpr u64 kSoonNs = 20'000'000;
constexpr u64 kLongNs = 20'000'000'000;

void ignore_kicks() {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    REQUIRE(::sigaction(kick_signal(), &action, nullptr) == 0);
}

bool is_exit_wanted(const kvm_run& run) {
    return __atomic_load_n(&run.immediate_exit, __ATOMIC_SEQ_CST) != 0;
}

/// vCPU threads like the machine's, with a substitute for KVM_RUN.
class Vcpus {
  public:
    explicit Vcpus(std::size_t count) : control(StopToken(is_ending)), runs_(count), rounds_(count) {
        ignore_kicks();
        for (kvm_run& run : runs_) control.add_vcpu(run);
    }
    Vcpus(const Vcpus&) = delete;
    Vcpus& operator=(const Vcpus&) = delete;
    ~Vcpus() { end(); }

    void start() {
        for (std::size_t i = 0; i < runs_.size(); ++i) threads_.emplace_back([this, i] { run(i); });
    }
    void end() {
        is_ending = true;
        control.kick_all();
        control.end_pause();
        for (std::thread& thread : threads_) thread.join();
        threads_.clear();
    }
    [[nodiscard]] u64 rounds() const {
        u64 all = 0;
        for (const auto& rounds : rounds_) all += rounds;
        return all;
    }
    void await_rounds() const {
        for (const auto& rounds : rounds_) {
            const u64 before = rounds;
            while (rounds == before) std::this_thread::yield();
        }
    }
    [[nodiscard]] bool are_all(State state) const {
        for (std::size_t i = 0; i < runs_.size(); ++i) {
            if (control.state(i) != state) return false;
        }
        return true;
    }

    std::atomic<bool> is_ending = false;
    /// Exits last until this is false again.
    std::atomic<bool> is_stuck = false;
    RunControl control;

  private:
    void run(std::size_t index) {
        control.enter(index);
        while (!is_ending) {
            while (is_stuck && !is_ending) ::poll(nullptr, 0, 1);
            ++rounds_[index];
            // KVM_RUN: out at once when it is asked to, or when a signal comes; else back with an exit soon.
            if (!is_exit_wanted(runs_[index]) && ::poll(nullptr, 0, 1) == 0) continue;
            control.take_kick(index);
            control.stay_while_paused(index);
        }
        control.leave(index);
    }

    std::deque<kvm_run> runs_;
    std::deque<std::atomic<u64>> rounds_;
    std::vector<std::thread> threads_;
};

}  // namespace

TEST_CASE("a kick interrupts a thread that is inside, again and again", "[run_control]") {
    ignore_kicks();
    const std::atomic<bool> is_ending = false;
    RunControl control{StopToken(is_ending)};
    kvm_run run{};
    control.add_vcpu(run);
    std::atomic<int> interrupted = 0;
    std::atomic<bool> is_done = false;
    std::thread vcpu([&] {
        control.enter(0);
        while (interrupted < 3) {
            if (::poll(nullptr, 0, 10'000) < 0) ++interrupted;
        }
        control.leave(0);
        is_done = true;
    });
    while (!is_done) {
        control.kick_all();
        std::this_thread::yield();
    }
    vcpu.join();
    CHECK(interrupted == 3);
    CHECK(control.threads_inside() == 0);
}

TEST_CASE("a kick ends the next KVM_RUN, until it is taken", "[run_control]") {
    const std::atomic<bool> is_ending = false;
    RunControl control{StopToken(is_ending)};
    kvm_run run{};
    control.add_vcpu(run);
    control.kick_all();
    CHECK(run.immediate_exit == 1);
    control.take_kick(0);
    CHECK(run.immediate_exit == 0);
}

TEST_CASE("vCPUs that have not finished are counted", "[run_control]") {
    const std::atomic<bool> is_ending = false;
    RunControl control{StopToken(is_ending)};
    std::vector<kvm_run> runs(2);
    for (kvm_run& run : runs) control.add_vcpu(run);
    CHECK(control.threads_inside() == 0);
    control.enter(0);
    control.enter(1);
    CHECK(control.threads_inside() == 2);
    CHECK(control.state(1) == State::Running);
    control.leave(0);
    CHECK(control.threads_inside() == 1);
    CHECK(control.state(0) == State::Finished);
}

TEST_CASE("a pause holds every vCPU, and none runs until it is over", "[run_control]") {
    Vcpus vcpus(3);
    vcpus.start();
    vcpus.await_rounds();
    for (int i = 0; i < 300; ++i) {
        REQUIRE(vcpus.control.pause(monotonic_ns() + kLongNs));
        REQUIRE(vcpus.are_all(State::Paused));
        const u64 before = vcpus.rounds();
        if (i % 100 == 0) ::poll(nullptr, 0, 5);
        vcpus.control.kick_all();  // which must not let a vCPU run
        REQUIRE(vcpus.are_all(State::Paused));
        REQUIRE(vcpus.rounds() == before);
        vcpus.control.resume();
        if (i % 50 != 0) continue;
        vcpus.await_rounds();
        // Otherwise the next pause would take this one for a lasting one.
        REQUIRE(vcpus.are_all(State::Running));
    }
}

TEST_CASE("a vCPU that starts while the machine is paused waits", "[run_control]") {
    Vcpus vcpus(2);
    REQUIRE(vcpus.control.pause(monotonic_ns() + kLongNs));
    vcpus.start();
    while (!vcpus.are_all(State::Paused)) std::this_thread::yield();
    ::poll(nullptr, 0, 5);
    CHECK(vcpus.rounds() == 0);
    vcpus.control.resume();
    vcpus.await_rounds();
}

TEST_CASE("a vCPU that does not stop is an error, and all run on", "[run_control]") {
    Vcpus vcpus(2);
    vcpus.is_stuck = true;
    vcpus.start();
    while (vcpus.control.threads_inside() < 2) std::this_thread::yield();
    const Result<void> paused = vcpus.control.pause(monotonic_ns() + kSoonNs);
    REQUIRE_FALSE(paused);
    CHECK(paused.error().message().find("vCPU 0 does not stop") != std::string::npos);
    CHECK_FALSE(vcpus.control.is_pausing());
    vcpus.is_stuck = false;
    vcpus.await_rounds();
    CHECK(vcpus.control.pause(monotonic_ns() + kLongNs));
}

TEST_CASE("an end releases paused vCPUs, and prevents further pauses", "[run_control]") {
    Vcpus vcpus(2);
    vcpus.start();
    REQUIRE(vcpus.control.pause(monotonic_ns() + kLongNs));
    vcpus.end();
    CHECK(vcpus.are_all(State::Finished));
    const Result<void> paused = vcpus.control.pause(monotonic_ns() + kLongNs);
    REQUIRE_FALSE(paused);
    CHECK(paused.error().kind() == ErrorKind::Stopped);
}
