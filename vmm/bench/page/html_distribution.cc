// SPDX-License-Identifier: Apache-2.0
// The cumulative distribution: the share of runs done, over time.
#include <algorithm>

#include <fmt/format.h>

#include "vmm/bench/page/html.h"

namespace mayfly::html {

namespace {

constexpr double kWidth = 840;
constexpr double kLeft = 52;
constexpr double kRight = 824;
constexpr double kTop = 14;
constexpr double kBottom = 292;
constexpr double kHeight = 346;
constexpr double kLogFromRatio = 8;  // a linear axis would squeeze the fast ones
constexpr double kPixelsPerLetter = 7.6;

struct Curve {
    std::size_t column;
    std::string label;
    bool is_dashed;
    std::vector<u64> values;  // ascending
    [[nodiscard]] double median() const { return static_cast<double>(percentile(values, 50)); }
};

/// Binary logarithm, to the pixel: digit by digit, since libm's tables would be a tenth of this code. `value`
/// is at least 1.
double log2_of(double value) {
    double whole = 0;
    // NOLINTNEXTLINE(clang-analyzer-security.FloatLoopCounter): halving is exact
    for (; value >= 2; value /= 2) whole += 1;
    double digit = 0.5;
    for (int i = 0; i < 16; ++i, digit /= 2) {
        value *= value;
        if (value < 2) continue;
        whole += digit;
        value /= 2;
    }
    return whole;
}

/// Time to x.
class Axis {
  public:
    /// The left margin holds the first curve's label.
    Axis(double low, double high) : is_log_(high / low > kLogFromRatio) {
        low_ = is_log_ ? log2_of(low) : low;
        high_ = is_log_ ? log2_of(high) : high;
        const double range = std::max(high_ - low_, high_ * 0.02);
        low_ -= range * 0.27;
        high_ += range * 0.06;
        if (!is_log_) low_ = std::max(0.0, low_);
    }

    [[nodiscard]] bool is_log() const { return is_log_; }
    [[nodiscard]] double x(double value) const {
        const double at = is_log_ ? log2_of(value) : value;
        return kLeft + (at - low_) / (high_ - low_) * (kRight - kLeft);
    }

    /// 1, 2 and 5 times powers of ten.
    [[nodiscard]] std::vector<double> ticks() const {
        std::vector<double> list;
        if (!is_log_) {
            const double step = nice_step((high_ - low_) / 6);
            for (u32 count = 0; count * step <= high_; ++count) {
                const double at = count * step;
                if (at >= low_) list.push_back(at);
            }
            return list;
        }
        const bool is_wide = high_ - low_ > log2_of(2000);
        for (double power = 1; log2_of(power) <= high_; power *= 10) {
            for (const double factor : {1.0, 2.0, 5.0}) {
                const double at = log2_of(power * factor);
                if (at >= low_ && at <= high_ && (factor == 1.0 || !is_wide)) list.push_back(power * factor);
            }
        }
        return list;
    }

  private:
    static double nice_step(double rough) {
        for (double power = 1;; power *= 10) {
            for (const double factor : {1.0, 2.0, 5.0}) {
                if (power * factor >= rough) return power * factor;
            }
        }
    }

    bool is_log_;
    double low_ = 0;
    double high_ = 1;
};

double y_of(double share) { return kBottom - share * (kBottom - kTop); }

std::string tick_label(double ns) {
    if (ns >= 1e9) return fmt::format("{:.4g} s", ns / 1e9);
    if (ns >= 1e6) return fmt::format("{:.4g} ms", ns / 1e6);
    return fmt::format("{:.4g} \u00b5s", ns / 1e3);
}

std::vector<Curve> curves_of(const Document& document) {
    std::vector<Curve> curves;
    for (std::size_t column = 0; column < document.plan.columns.size(); ++column) {
        const std::string name =
            document.plan.columns[column].name + (has_failed(document.result, column) ? " (failed)" : "");
        std::vector<u64> first = sorted_moments(document.result, column, kFirstInstruction);
        if (!first.empty()) curves.push_back({column, name + ", first instruction", true, std::move(first)});
        std::vector<u64> exits = sorted_exits(document.result, column);
        if (!exits.empty()) curves.push_back({column, name + ", exit", false, std::move(exits)});
    }
    sort_small(curves, [](const Curve& curve) { return percentile(curve.values, 50); });
    return curves;
}

std::string grid(const Axis& axis) {
    std::string svg;
    for (const u32 percent : {0u, 25u, 50u, 75u, 100u}) {
        const double y = y_of(percent / 100.0);
        svg += fmt::format(
            "<path class=\"grid\" d=\"M{} {:.1f}H{}\"/><text class=\"ax\" x=\"{}\" y=\"{:.1f}\" "
            "text-anchor=\"end\">{} %</text>",
            kLeft, y, kRight, kLeft - 8, y + 4, percent);
    }
    for (const double tick : axis.ticks()) {
        svg += fmt::format(
            "<path class=\"grid\" d=\"M{:.1f} {}V{}\"/><text class=\"ax\" x=\"{:.1f}\" y=\"{}\" "
            "text-anchor=\"middle\">{}</text>",
            axis.x(tick), kTop, kBottom + 5, axis.x(tick), kBottom + 20, tick_label(tick));
    }
    return svg +
           fmt::format("<text class=\"ax\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">time since exec{}</text>",
                       (kLeft + kRight) / 2, kBottom + 44, axis.is_log() ? ", logarithmic" : "");
}

std::string path_of(const Curve& curve, const Axis& axis) {
    std::string path;
    const auto n = static_cast<double>(curve.values.size());
    for (std::size_t i = 0; i < curve.values.size(); ++i) {
        const double x = axis.x(static_cast<double>(curve.values[i]));
        path += path.empty() ? fmt::format("M{:.1f} {:.1f}", x, kBottom) : fmt::format("H{:.1f}", x);
        path += fmt::format("V{:.1f}", y_of(static_cast<double>(i + 1) / n));
    }
    return path;
}

/// Labels stand beside their curves: the first one's to the left when there is room, the others' to the
/// right, each a line lower than the one before so that none covers another.
std::string label_of(const Curve& curve, const Axis& axis, std::size_t index, std::size_t count) {
    const std::string text =
        curve.label + " " + print_figure(percentile(curve.values, 50), Unit::Nanoseconds);
    const double width = static_cast<double>(text.size()) * kPixelsPerLetter;
    const double share =
        count == 1 ? 0.5 : 0.8 - 0.55 * static_cast<double>(index) / static_cast<double>(count - 1);
    const u32 percent = std::max(1u, static_cast<u32>(share * 100));
    const double x = axis.x(static_cast<double>(percentile(curve.values, percent)));
    const bool has_room_left = x - width - 12 > kLeft;
    const bool has_room_right = x + width + 12 < kRight;
    const bool is_left = has_room_left && (!has_room_right || (index == 0 && count > 1));
    return fmt::format("<text class=\"lab {}\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>",
                       column_class(curve.column), is_left ? x - 10 : x + 10, y_of(share) + 4,
                       is_left ? "end" : "start", pretty(text));
}

}  // namespace

std::string distribution_chart(const Document& document) {
    const std::vector<Curve> curves = curves_of(document);
    if (curves.empty()) return {};
    u64 low = ~u64{0};
    u64 high = 1;
    std::string described;
    for (const Curve& curve : curves) {
        low = std::min(low, curve.values.front());
        high = std::max(high, curve.values.back());
        described += fmt::format("{}: median {}, from {} to {}. ", curve.label,
                                 print_figure(percentile(curve.values, 50), Unit::Nanoseconds),
                                 print_figure(curve.values.front(), Unit::Nanoseconds),
                                 print_figure(curve.values.back(), Unit::Nanoseconds));
    }
    const Axis axis(static_cast<double>(std::max<u64>(low, 1)), static_cast<double>(high));
    std::string svg = fmt::format(
        "<div class=\"scroll\"><svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" role=\"img\" "
        "aria-labelledby=\"cdf-t cdf-d\"><title id=\"cdf-t\">Share of runs done over time</title>"
        "<desc id=\"cdf-d\">{}</desc>",
        kWidth, kHeight, pretty(described));
    svg += grid(axis);
    for (const Curve& curve : curves) {
        svg += fmt::format("<path class=\"curve {}{}\" d=\"{}\"/>", column_class(curve.column),
                           curve.is_dashed ? " dash" : "", path_of(curve, axis));
        svg += fmt::format("<circle class=\"dot {}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"5\"/>",
                           column_class(curve.column), axis.x(curve.median()), y_of(0.5));
    }
    for (std::size_t i = 0; i < curves.size(); ++i) svg += label_of(curves[i], axis, i, curves.size());
    return svg + "</svg></div>";
}

}  // namespace mayfly::html
