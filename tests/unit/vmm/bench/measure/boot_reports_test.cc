// SPDX-License-Identifier: Apache-2.0
// Reports of mayfly boot are read back; other contents do no harm.
#include "vmm/bench/measure/boot_reports.h"

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

constexpr std::string_view kTimeline = R"({
  "unit": "ns since exec",
  "exec_monotonic_ns": 1000000,
  "phases": {
    "main": 500,
    "first_kvm_run": 900,
    "exit": 2000
  },
  "guest_marks": [
    {
      "value": 1,
      "at": 1000
    },
    {
      "value": 16,
      "at": 1500
    },
    {
      "value": 1,
      "at": 1600
    }
  ],
  "guest_marks_dropped": 0,
  "exit_status": 0
}
)";

constexpr std::string_view kStats = R"({
  "returns_to_user_space": 20,
  "by_reason": {
    "KVM_EXIT_IO": 19,
    "KVM_EXIT_HLT": 1
  },
  "by_address": [
    {
      "space": "port out",
      "address": 1016,
      "bytes": 18,
      "returns": 18
    }
  ],
  "at_other_addresses": 0,
  "kvm": {
    "vm": {},
    "vcpus": [
      {
        "exits": 99
      }
    ]
  }
}
)";

}  // namespace

TEST_CASE("a timeline is read with phases and marks in order", "[boot_reports]") {
    const std::optional<BootTimeline> timeline = read_timeline(kTimeline);
    REQUIRE(timeline);
    CHECK(timeline->exec_monotonic_ns == 1'000'000);
    REQUIRE(timeline->phases.size() == 3);
    CHECK(timeline->phases[1].name == "first_kvm_run");
    CHECK(timeline->phases[1].value == 900);
    REQUIRE(timeline->marks.size() == 3);
    CHECK(timeline->marks[0].name == "guest mark 0x1");
    CHECK(timeline->marks[1].name == "guest mark 0x10");
    CHECK(timeline->marks[2].name == "guest mark 0x1 (2)");
    CHECK(timeline->marks[2].value == 1600);
}

TEST_CASE("statistics are read by reason and by address", "[boot_reports]") {
    const std::optional<BootStats> stats = read_stats(kStats);
    REQUIRE(stats);
    CHECK(stats->returns == 20);
    REQUIRE(stats->reasons.size() == 2);
    CHECK(stats->reasons[0].name == "KVM_EXIT_IO");
    CHECK(stats->reasons[0].value == 19);
    REQUIRE(stats->places.size() == 1);
    CHECK(stats->places[0].name == "port out 0x3f8");
    CHECK(stats->places[0].value == 18);
}

TEST_CASE("a report truncated anywhere is read up to its end, or not at all", "[boot_reports]") {
    for (std::size_t length = 0; length < kTimeline.size(); ++length) {
        const std::optional<BootTimeline> timeline = read_timeline(kTimeline.substr(0, length));
        if (timeline) CHECK(timeline->marks.size() <= 3);
    }
    for (std::size_t length = 0; length < kStats.size(); ++length) {
        const std::optional<BootStats> stats = read_stats(kStats.substr(0, length));
        if (stats) CHECK(stats->reasons.size() <= 2);
    }
    CHECK_FALSE(read_timeline("{}"));
    CHECK_FALSE(read_stats("null"));
}
