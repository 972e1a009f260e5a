// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/table/command_page.h"

#include <fmt/format.h>

#include "vmm/text/layout.h"

namespace mayfly {

namespace {

constexpr std::size_t kHelpColumn = 24;

std::string synopsis_of(const OptionText& option) {
    std::string text = option.letter == '\0' ? "  " : fmt::format("  -{}, ", option.letter);
    text += fmt::format("--{}", option.name);
    if (option.value != nullptr) text += fmt::format(" {}", option.value);
    return text;
}

}  // namespace

std::string status_text(const CommandPage& page) { return std::string("Exit status: ") + page.status; }

std::string print_page(const CommandPage& page, std::span<const OptionText> options, std::size_t columns) {
    const std::string usage = fmt::format("usage: mayfly {} {}", page.command, page.operands);
    std::string out = wrap_text(usage, columns, 4) + "\n\n" + wrap_text(page.text, columns) + "\n\n" +
                      wrap_text(status_text(page), columns) + '\n';
    if (!options.empty() && options.front().section == nullptr) out += "\nOptions:\n";
    for (const OptionText& option : options) {
        if (option.section != nullptr) out += fmt::format("\n{}:\n", option.section);
        const std::string synopsis = synopsis_of(option);
        // One that is too long for a narrow terminal is broken where values are written one after the other.
        out += describe(synopsis, option.help, kHelpColumn, columns);
    }
    return out;
}

}  // namespace mayfly
