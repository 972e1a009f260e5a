// SPDX-License-Identifier: Apache-2.0
#include "vmm/bench/measure/statistics.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "vmm/error/verify.h"

namespace mayfly {

namespace {

/// Three significant digits, without an exponent.
std::string three_digits(double value) {
    const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    return fmt::format("{:.{}f}", value, decimals);
}

}  // namespace

u64 percentile(const std::vector<u64>& sorted, u32 percent) {
    VERIFY(!sorted.empty() && percent >= 1 && percent <= 100);
    const u64 rank = (u64{sorted.size()} * percent + 99) / 100;
    return sorted[rank - 1];
}

std::optional<Summary> summarize(std::vector<u64> values) {
    if (values.empty()) return std::nullopt;
    std::sort(values.begin(), values.end());
    Summary summary{values.size(),          values.front(),         percentile(values, 50),
                    percentile(values, 90), percentile(values, 99), values.back()};
    const auto count = static_cast<double>(values.size());
    for (const u64 value : values) summary.mean += static_cast<double>(value) / count;
    double squares = 0;
    for (const u64 value : values) {
        const double distance = static_cast<double>(value) - summary.mean;
        squares += distance * distance;
    }
    if (values.size() > 1) summary.deviation = std::sqrt(squares / (count - 1));
    return summary;
}

std::string print_figure(u64 value, Unit unit) {
    const auto exact = static_cast<double>(value);
    switch (unit) {
        case Unit::Count: return std::to_string(value);
        case Unit::Kibibytes:
            if (value < 1024) return fmt::format("{} KiB", value);
            if (value < u64{1024} * 1024) return three_digits(exact / 1024) + " MiB";
            return three_digits(exact / 1024 / 1024) + " GiB";
        case Unit::Nanoseconds:
            if (value < 999'500) return three_digits(exact / 1e3) + " us";
            if (value < 999'500'000) return three_digits(exact / 1e6) + " ms";
            return three_digits(exact / 1e9) + " s";
    }
    return "";
}

std::string print_mean(const Summary& summary, Unit unit) {
    const auto print = [&](double value) {
        return unit == Unit::Count ? three_digits(value)
                                   : print_figure(static_cast<u64>(std::llround(value)), unit);
    };
    std::string text = print(summary.mean);
    if (summary.deviation) text += " ± " + print(*summary.deviation);
    return text;
}

std::string print_ratio(double ratio) { return three_digits(ratio) + " x"; }

}  // namespace mayfly
