// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/lifecycle/timeline.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "vmm/report/report.h"

using namespace mayfly;

namespace {

// The names that scripts read in --timeline-json.
const std::vector<std::pair<Phase, std::string>> kNames{
    {Phase::Main, "main"},
    {Phase::KvmOpened, "kvm_opened"},
    {Phase::VmCreated, "vm_created"},
    {Phase::Irqchip, "irqchip"},
    {Phase::MemoryMapped, "memory_mapped"},
    {Phase::KernelLoaded, "kernel_loaded"},
    {Phase::Vcpus, "vcpus"},
    {Phase::FirstRun, "first_kvm_run"},
    {Phase::FirstExit, "first_exit"},
    {Phase::Exit, "exit"},
};

}  // namespace

TEST_CASE("a phase keeps the first time that it was reached", "[timeline]") {
    const auto timeline = std::make_unique<Timeline>();
    CHECK(timeline->phase_ns(Phase::Vcpus) == 0);
    timeline->reach_at(Phase::Vcpus, 1000);
    timeline->reach_at(Phase::Vcpus, 2000);
    timeline->reach(Phase::Vcpus);
    CHECK(timeline->phase_ns(Phase::Vcpus) == 1000);
}

TEST_CASE("every phase has its name", "[timeline]") {
    CHECK(kNames.size() == kPhaseCount);
    for (const auto& [phase, name] : kNames) CHECK(to_string(phase) == name);
}

TEST_CASE("guest marks keep their order, and those past the limit are counted", "[timeline]") {
    const auto timeline = std::make_unique<Timeline>();
    for (u32 i = 0; i < Timeline::kMarksMax + 44; ++i) timeline->guest_mark(i);
    REQUIRE(timeline->marks().size() == Timeline::kMarksMax);
    CHECK(timeline->marks_dropped() == 44);
    for (u32 i = 0; i < Timeline::kMarksMax; ++i) CHECK(timeline->marks()[i].value == i);
}

TEST_CASE("marks of several vCPUs are all kept", "[timeline]") {
    const auto timeline = std::make_unique<Timeline>();
    std::vector<std::thread> vcpus;
    for (u32 id = 0; id < 4; ++id)
        vcpus.emplace_back([&timeline, id] {
            for (u32 i = 0; i < 50; ++i) timeline->guest_mark(id);
        });
    for (std::thread& vcpu : vcpus) vcpu.join();
    CHECK(timeline->marks().size() == 200);
    u32 sum = 0;
    for (const GuestMark& mark : timeline->marks()) sum += mark.value;
    CHECK(sum == 50 * (0 + 1 + 2 + 3));
}

TEST_CASE("the estimated exec is before main", "[timeline]") {
    const auto timeline = std::make_unique<Timeline>();
    timeline->reach(Phase::Main);
    timeline->estimate_exec();
    CHECK(timeline->exec_ns() > 0);
    CHECK(timeline->exec_ns() <= timeline->phase_ns(Phase::Main));
}

TEST_CASE("the JSON has the reached phases, since exec, without the others", "[timeline]") {
    const auto timeline = std::make_unique<Timeline>();
    timeline->reach(Phase::Main);
    timeline->estimate_exec();
    timeline->guest_mark(0x55);
    timeline->reach(Phase::Exit);
    const auto json = nlohmann::json::parse(timeline_json(*timeline, 7), nullptr, false);
    REQUIRE_FALSE(json.is_discarded());
    CHECK(json["unit"] == "ns since exec");
    CHECK(json["exit_status"] == 7);
    CHECK(json["phases"].size() == 2);
    CHECK(json["phases"]["main"] == timeline->phase_ns(Phase::Main) - timeline->exec_ns());
    CHECK(json["guest_marks"][0]["value"] == 0x55);
    CHECK(json["phases"]["main"] <= json["guest_marks"][0]["at"]);
    CHECK(json["guest_marks"][0]["at"] <= json["phases"]["exit"]);
}

TEST_CASE("the table is in the order of time", "[timeline]") {
    const auto timeline = std::make_unique<Timeline>();
    timeline->reach(Phase::Main);
    timeline->guest_mark(0x42);
    timeline->reach(Phase::Exit);
    const std::string table = timeline_table(*timeline, 80);
    CHECK(table.find("main") < table.find("guest mark 0x42"));
    CHECK(table.find("guest mark 0x42") < table.find("\nexit"));
}
