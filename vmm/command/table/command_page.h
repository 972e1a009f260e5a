// SPDX-License-Identifier: Apache-2.0
// What a user reads of a command: its page of help, which is printed from the same words and the same table
// of options as man pages and completions.
//
// Pure functions; only help runs them.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "vmm/command/table/option_table.h"

namespace mayfly {

struct CommandPage {
    const char* command;   ///< "boot", "bench boot"
    const char* summary;   ///< lower case, no full stop
    const char* operands;  ///< what follows the command in its usage
    const char* text;      ///< paragraphs, with empty lines between them
    const char* status;    ///< what each exit status means
};

/// What a user reads of an option.
struct OptionText {
    const char* section;
    const char* name;
    char letter;
    const char* value;
    const char* completion;
    const char* help;
};

template <typename Arguments>
[[nodiscard]] std::vector<OptionText> texts_of(std::span<const Option<Arguments>> options) {
    std::vector<OptionText> texts;
    for (const Option<Arguments>& option : options)
        texts.push_back(
            {option.section, option.name, option.letter, option.value, option.completion, option.help});
    return texts;
}

/// What `page` says of the exit status.
[[nodiscard]] std::string status_text(const CommandPage& page);

/// The page in `columns`.
[[nodiscard]] std::string print_page(const CommandPage& page, std::span<const OptionText> options,
                                     std::size_t columns);

}  // namespace mayfly
