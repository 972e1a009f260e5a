// SPDX-License-Identifier: Apache-2.0
// The phases of the median run: as a bar, and as a table.
#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "vmm/bench/page/html.h"

namespace mayfly::html {

namespace {

constexpr double kWidth = 840;
constexpr double kBarHeight = 40;
constexpr double kAxisHeight = 22;
constexpr double kPixelsPerLetter = 7.4;
constexpr std::size_t kFills = 8;

/// What happens up to each of our moments.
constexpr std::array kMeanings{
    std::pair<std::string_view, std::string_view>{"main", "execve(2), until main() is entered"},
    std::pair<std::string_view, std::string_view>{"kvm_opened", "/dev/kvm is open"},
    std::pair<std::string_view, std::string_view>{"vm_created", "KVM_CREATE_VM has returned"},
    std::pair<std::string_view, std::string_view>{"memory_mapped", "guest memory is mapped"},
    std::pair<std::string_view, std::string_view>{"kernel_loaded", "kernel and tables are in it"},
    std::pair<std::string_view, std::string_view>{"irqchip", "the interrupt controllers exist"},
    std::pair<std::string_view, std::string_view>{"vcpus", "the vCPUs exist"},
    std::pair<std::string_view, std::string_view>{"first_kvm_run", "the guest's first instruction"},
    std::pair<std::string_view, std::string_view>{"first_exit", "the guest's first exit"},
    std::pair<std::string_view, std::string_view>{"guest ended", "power-off, reset or exit port"},
    std::pair<std::string_view, std::string_view>{"exit", "machine taken apart, process gone"},
};

std::string_view meaning_of(std::string_view name) {
    for (const auto& [known, meaning] : kMeanings) {
        if (known == name) return meaning;
    }
    return name.starts_with("guest mark")  ? "written by the guest to port 0x80"
           : name.starts_with("console: ") ? "the line was on the console"
                                           : "";
}

struct Segment {
    std::string name;
    u64 from_ns;
    u64 to_ns;
    [[nodiscard]] u64 length_ns() const { return to_ns - from_ns; }
};

std::vector<Segment> segments_of(const Run& run) {
    std::vector<Segment> list;
    u64 at = 0;
    for (const Moment& moment : run.moments) {
        const u64 to = std::clamp(moment.at_ns, at, std::max(at, run.exit_ns));
        list.push_back({moment.name, at, to});
        at = to;
    }
    list.push_back({list.empty() ? "exec to exit" : "exit", at, std::max(at, run.exit_ns)});
    return list;
}

/// a, b … z, aa, ab …
std::string letter_of(std::size_t index) {
    std::string letters(1, static_cast<char>('a' + index % 26));
    return index < 26 ? letters : letter_of(index / 26 - 1) + letters;
}

std::string fill_of(std::size_t index) { return fmt::format("f{}", index % kFills); }

std::string bar(const std::vector<Segment>& segments, u64 total_ns) {
    std::string svg;
    const double scale = (kWidth - 2) / static_cast<double>(std::max<u64>(total_ns, 1));
    for (std::size_t i = 0; i < segments.size(); ++i) {
        const Segment& segment = segments[i];
        const double x = 1 + static_cast<double>(segment.from_ns) * scale;
        const double width = static_cast<double>(segment.length_ns()) * scale;
        if (width < 0.2) continue;
        svg += fmt::format(
            "<rect class=\"seg {}\" x=\"{:.2f}\" y=\"1\" width=\"{:.2f}\" height=\"{}\"><title>{} "
            "{}</title></rect>",
            fill_of(i), x, width, kBarHeight, html_escape(segment.name),
            pretty(print_figure(segment.length_ns(), Unit::Nanoseconds)));
        const std::string whole = letter_of(i) + " " + segment.name;
        const bool is_whole = width > static_cast<double>(whole.size()) * kPixelsPerLetter + 8;
        if (is_whole || width > 13)
            svg += fmt::format("<text class=\"in\" x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                               x + width / 2, kBarHeight / 2 + 5.5,
                               html_escape(is_whole ? whole : letter_of(i)));
    }
    for (u32 quarter = 0; quarter <= 4; ++quarter) {
        const double x = 1 + (kWidth - 2) * quarter / 4;
        svg +=
            fmt::format("<text class=\"ax\" x=\"{:.1f}\" y=\"{}\" text-anchor=\"{}\">{}</text>", x,
                        kBarHeight + kAxisHeight - 4,
                        quarter == 0   ? "start"
                        : quarter == 4 ? "end"
                                       : "middle",
                        quarter == 0 ? "0" : pretty(print_figure(total_ns * quarter / 4, Unit::Nanoseconds)));
    }
    return svg;
}

std::string legend(const std::vector<Segment>& segments, u64 total_ns) {
    std::string table =
        "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">until</th><th class=\"l wide\" "
        "scope=\"col\">"
        "meaning</th><th scope=\"col\">took</th><th scope=\"col\">share</th><th scope=\"col\">since "
        "exec</th>"
        "</tr></thead><tbody>";
    for (std::size_t i = 0; i < segments.size(); ++i) {
        const Segment& segment = segments[i];
        table += fmt::format(
            "<tr><td><span class=\"key {}\">{}</span> {}</td><td class=\"l dim wrap wide\">{}</td><td>{}</td>"
            "<td>{:.1f} %</td><td>{}</td></tr>",
            fill_of(i), letter_of(i), html_escape(segment.name), meaning_of(segment.name),
            pretty(print_figure(segment.length_ns(), Unit::Nanoseconds)),
            100.0 * static_cast<double>(segment.length_ns()) /
                static_cast<double>(std::max<u64>(total_ns, 1)),
            pretty(print_figure(segment.to_ns, Unit::Nanoseconds)));
    }
    return table + "</tbody></table></div>";
}

}  // namespace

std::string phase_chart(const Document& document, std::size_t column) {
    const Run* run = median_run(document.result, column);
    if (run == nullptr) return {};
    const std::vector<Segment> segments = segments_of(*run);
    const std::string name = html_escape(document.plan.columns[column].name) +
                             (has_failed(document.result, column) ? " (failed)" : "");
    const std::string total = pretty(print_figure(run->exit_ns, Unit::Nanoseconds));
    std::string described;
    for (const Segment& segment : segments)
        described +=
            fmt::format("{} {}; ", segment.name, print_figure(segment.length_ns(), Unit::Nanoseconds));
    std::string html = fmt::format(
        "<h3><span class=\"sw {0}\"></span>{1}, {2}</h3><div class=\"scroll\"><svg "
        "xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {3} {4}\" role=\"img\" aria-labelledby=\"p{5}t "
        "p{5}d\"><title id=\"p{5}t\">Phases of the median run of {1}, {2}</title><desc "
        "id=\"p{5}d\">{6}</desc>",
        column_class(column), name, total, kWidth, kBarHeight + kAxisHeight, column, pretty(described));
    html += bar(segments, run->exit_ns) + "</svg></div>";
    if (segments.size() > 1) return html + legend(segments, run->exit_ns);
    return html + "<p class=\"dim\">What happens inside cannot be seen from outside; --mark can show it.</p>";
}

}  // namespace mayfly::html
