// SPDX-License-Identifier: Apache-2.0
#include "vmm/doctor/print.h"

#include <algorithm>

#include <fmt/format.h>

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

/// Breaks at spaces; later lines begin in kTextColumn.
std::string wrapped(std::string_view text, TextStyle style) {
    const std::size_t room =
        std::max(kTextColumnsMin, style.columns - std::min<std::size_t>(style.columns, kTextColumn));
    std::string out;
    while (text.size() > room) {
        std::size_t cut = text.rfind(' ', room);
        if (cut == std::string_view::npos) cut = text.find(' ');
        if (cut == std::string_view::npos) break;
        out += text.substr(0, cut);
        out += '\n';
        out.append(kTextColumn, ' ');
        text.remove_prefix(cut + 1);
    }
    out += text;
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
        const std::string severity = fmt::format("{:<8}", to_string(finding.severity));
        out += fmt::format("  {} {:<18}  {}\n", painted(severity, colour_of(finding.severity), style),
                           finding.subject, wrapped(finding.text, style));
        // A command stays on one line, so that it can be copied.
        if (!finding.cure.empty()) out += fmt::format("{:>{}}{}\n", "cure: ", kTextColumn + 6, finding.cure);
    }
    const Severity worst = !diagnosis.can_boot || diagnosis.problems != 0 ? Severity::Problem : Severity::Ok;
    return out + '\n' + painted(diagnosis.verdict, colour_of(worst), style) + '\n';
}

}  // namespace mayfly
