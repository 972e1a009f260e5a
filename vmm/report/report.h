// SPDX-License-Identifier: Apache-2.0
// Reports: the timeline and the statistics, as tables for people and JSON for scripts.
//
// Thread: the main thread, after the guest has ended.
#pragma once

#include <string>
#include <vector>

#include "vmm/kvm/stats.h"
#include "vmm/machine/lifecycle/timeline.h"
#include "vmm/machine/machine.h"
#include "vmm/report/device_report.h"

namespace mayfly {

/// Times since exec, in `columns`. Phases that were not reached are left out.
[[nodiscard]] std::string timeline_table(const Timeline& timeline, std::size_t columns);
/// In nanoseconds.
[[nodiscard]] std::string timeline_json(const Timeline& timeline, int exit_status);

/// All counts, taken once the guest has ended.
struct StatsReport {
    ExitCounts exits;
    std::vector<KvmCounter> vm;
    std::vector<std::vector<KvmCounter>> vcpus;
    DeviceReport devices;
    std::string kvm_counters_missing;  ///< why `vm` and `vcpus` are empty; empty when they are not
    /// KVM uses Intel's APICv for guests here: it injects only an 8259's interrupts, and those whose delivery
    /// met a fault, unless the guest has switched APICv off.
    bool has_apicv = false;
    bool is_apicv_off = false;  ///< by the guest: apicv.h
};

[[nodiscard]] StatsReport collect_stats(const Machine& machine);
[[nodiscard]] std::string stats_table(const StatsReport& report, std::size_t columns);
[[nodiscard]] std::string stats_json(const StatsReport& report);

}  // namespace mayfly
