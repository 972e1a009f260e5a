// SPDX-License-Identifier: Apache-2.0
// Reports of `mayfly bench boot` about invented runs.
#pragma once

#include <string>
#include <string_view>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "vmm/bench/merge/report_file.h"
#include "vmm/bench/results/document.h"

namespace mayfly {

using Json = nlohmann::ordered_json;

inline constexpr const char* kNasty = "<b>&\"'\x01";

/// As `mayfly bench boot` writes them: by its own writer.
inline Json report(u64 shortest_ns, u32 columns = 1) {
    BenchPlan plan;
    BenchResult result;
    plan.runs = 3;
    for (u32 i = 0; i < columns; ++i) {
        plan.columns.push_back(
            {Column::Kind::Mayfly, i == 0 ? "mayfly" : "other", "mayfly", {"mayfly", "boot"}});
        result.columns.push_back({.status = 0});
        for (u32 round = 0; round < plan.runs; ++round) {
            Run run;
            run.column = i;
            run.round = round;
            run.is_good = true;
            run.exit_ns = shortest_ns * (round + 1);
            run.moments = {{"vm_created", 10}, {"first_kvm_run", shortest_ns / 2}};
            result.runs.push_back(run);
        }
    }
    const Document document{plan,
                            result,
                            figures_of(plan, result),
                            "repeat",
                            "mayfly boot x",
                            "today",
                            {{"processor", "Fast Processor 9000"}, {"KVM", "VMX"}, {"kernel", kNasty}}};
    return Json::parse(bench_json(document));
}

inline BenchReport parsed(const std::string& file, const Json& json) {
    Result<BenchReport> result = parse_report(file, json.dump());
    REQUIRE(result);
    return *result;
}

inline bool has(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

}  // namespace mayfly
