// SPDX-License-Identifier: Apache-2.0
// Order statistics of measured values, and figures as people read them.
//
// Percentiles are nearest-rank: the smallest value that at least P percent of the values do not exceed. Each
// is a measured value; of fewer than 100 values the 99th is the largest. Thread: values only.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "vmm/error/ints.h"

namespace mayfly {

struct Summary {
    u64 count = 0;
    u64 min = 0;
    u64 p50 = 0;
    u64 p90 = 0;
    u64 p99 = 0;
    u64 max = 0;
    double mean = 0;
    std::optional<double> deviation{};  ///< standard, of a sample (n - 1); none of a single value
};

/// `sorted` ascends and is not empty; `percent` is 1 to 100.
[[nodiscard]] u64 percentile(const std::vector<u64>& sorted, u32 percent);

/// Sorts a few elements by a key, stably; std::stable_sort is kilobytes for each type of element.
template <typename Element, typename Key>
void sort_small(std::vector<Element>& list, const Key& key) {
    for (std::size_t end = 1; end < list.size(); ++end) {
        for (std::size_t i = end; i > 0 && key(list[i]) < key(list[i - 1]); --i)
            std::swap(list[i], list[i - 1]);
    }
}

/// Empty for no values.
[[nodiscard]] std::optional<Summary> summarize(std::vector<u64> values);

enum class Unit : u8 { Nanoseconds, Kibibytes, Count };

/// "544 us", "12.3 ms", "1.23 s"; "1.63 MiB"; "309": three or more significant digits.
[[nodiscard]] std::string print_figure(u64 value, Unit unit);

/// "5.14 ms ± 212 us"; of a single value "5.14 ms".
[[nodiscard]] std::string print_mean(const Summary& summary, Unit unit);

/// "27.0 x"
[[nodiscard]] std::string print_ratio(double ratio);

}  // namespace mayfly
