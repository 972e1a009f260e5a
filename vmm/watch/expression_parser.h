// SPDX-License-Identifier: Apache-2.0
// parse_expression: an extended regular expression as an ExpressionProgram.
//
// Syntax that POSIX leaves undefined, or that means something else in other languages, is refused rather than
// guessed: a misread expression would silently never match. \w \W \s \S \b \B \< \> are known, as to grep.
// Pure; any thread. Spec: POSIX.1-2017, Base Definitions, 9.4 "Extended Regular Expressions".
#pragma once

#include <string>
#include <variant>

#include "vmm/watch/expression_program.h"

namespace mayfly {

/// Of one expression: ten times what a long list of words needs.
constexpr std::size_t kInstructionsMax = 5'000;

/// Why an expression is refused: "'a{' {what}", and the remedy.
struct ExpressionFault {
    std::string what;
    std::string cure;
};

[[nodiscard]] std::variant<ExpressionProgram, ExpressionFault> parse_expression(std::string_view text);

}  // namespace mayfly
