// SPDX-License-Identifier: Apache-2.0
#include "vmm/doctor/print.h"

#include <fmt/format.h>

#include "vmm/text/layout.h"

namespace mayfly {

namespace {

constexpr std::size_t kTextColumn = 31;  // 2 + severity 8 + 1 + subject 18 + 2
constexpr std::size_t kTextColumnsMin = 30;

std::string_view colour_of(Severity severity) {
    switch (severity) {
        case Severity::Ok: return "\x1b[32m";
        case Severity::Note: return "\x1b[33m";
        case Severity::Problem: return "\x1b[1;31m";
    }
    return "";
}

std::string painted(std::string_view text, std::string_view colour, TextStyle style) {
    return style.has_colour ? fmt::format("{}{}\x1b[0m", colour, text) : std::string(text);
}

/// Where texts begin, on their own lines where there is little room.
struct Place {
    std::size_t indent;
    bool is_below;
};

Place text_place(TextStyle style) {
    if (style.columns < kTextColumn + kTextColumnsMin) return {.indent = 4, .is_below = true};
    return {.indent = kTextColumn, .is_below = false};
}

std::string finding_text(const Finding& finding, TextStyle style) {
    const Place place = text_place(style);
    const std::string severity = fmt::format("{:<8}", to_string(finding.severity));
    std::string out = fmt::format("  {} ", painted(severity, colour_of(finding.severity), style));
    out += place.is_below ? fmt::format("{}\n{:{}}", finding.subject, "", place.indent)
                          : fmt::format("{:<18}  ", finding.subject);
    out += wrap_text(finding.text, style.columns, place.indent, place.indent) + '\n';
    // A command stays on one line: it is there to be copied.
    if (!finding.cure.empty()) out += fmt::format("{:{}}cure: {}\n", "", place.indent, finding.cure);
    return out;
}

}  // namespace

std::string doctor_text(const Diagnosis& diagnosis, TextStyle style) {
    std::string out;
    const Finding* before = nullptr;
    for (const Finding& finding : diagnosis.findings) {
        if (before == nullptr || before->section != finding.section) {
            if (before != nullptr) out += '\n';
            out += painted(to_string(finding.section), "\x1b[1m", style) + '\n';
        }
        before = &finding;
        out += finding_text(finding, style);
    }
    const Severity worst = !diagnosis.can_boot || diagnosis.problems != 0 ? Severity::Problem : Severity::Ok;
    return out + '\n' + painted(wrap_text(diagnosis.verdict, style.columns), colour_of(worst), style) + '\n';
}

}  // namespace mayfly
