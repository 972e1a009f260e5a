// SPDX-License-Identifier: Apache-2.0
// Command lines as words, and words as a command line that can be pasted into a shell.
//
// Not a shell: a word that a shell would change (variables, redirection, globs) is refused rather than passed
// on, since starting one for every run would be measured too. Thread: any.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/error/result.h"

namespace mayfly {

/// Splits at blanks; '…', "…" and \ quote as in a shell. Errors: Invalid for an open quote, no word, or a
/// feature of the shell.
Result<std::vector<std::string>> split_command(std::string_view text);

/// The words with quotes where a shell needs them.
[[nodiscard]] std::string join_command(std::span<const std::string> words);

}  // namespace mayfly
