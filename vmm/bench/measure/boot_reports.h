// SPDX-License-Identifier: Apache-2.0
// Reads back what `mayfly boot --timeline-json --stats-json` wrote, and nothing else.
//
// Not a JSON parser: the writer is this very program, whose layout is known; a general one would be a tenth
// of the binary. Values that are missing stay empty. Thread: values only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/error/ints.h"

namespace mayfly {

struct NamedCount {
    std::string name;
    u64 value = 0;
};

struct BootTimeline {
    u64 exec_monotonic_ns = 0;
    std::vector<NamedCount> phases;  ///< ns since exec, by mayfly's own account
    std::vector<NamedCount> marks;   ///< "guest mark 0x1"; a second one of that value is "guest mark 0x1 (2)"
    bool has_dropped_marks = false;  ///< more came than are kept
};

/// Empty when `json` is not a timeline.
[[nodiscard]] std::optional<BootTimeline> read_timeline(std::string_view json);

struct BootStats {
    u64 returns = 0;
    std::vector<NamedCount> reasons;  ///< "KVM_EXIT_IO"
    std::vector<NamedCount> places;   ///< "port out 0x3f8", the busiest first
};

[[nodiscard]] std::optional<BootStats> read_stats(std::string_view json);

}  // namespace mayfly
