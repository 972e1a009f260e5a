// SPDX-License-Identifier: Apache-2.0
// Expression: one POSIX extended regular expression of the user's, matched against what a guest wrote.
//
// The text is the attacker's. Back-references, a GNU extension whose matching takes exponential time and
// memory, are refused; the rest is a finite automaton, whose lazily made states are thrown away now and then
// so that no text can make them grow without end. Matching is by bytes, without a locale; a NUL in the text
// is a byte like others, which '.' does not match. Thread: one at a time. Spec: POSIX.1-2017, Base
// Definitions, 9.4 "Extended Regular Expressions".
#pragma once

#include <memory>
#include <regex.h>
#include <string>
#include <string_view>

#include "vmm/error/result.h"

namespace mayfly {

/// What a text is of its line.
struct TextEnds {
    bool is_line_start = true;  ///< '^' may match
    bool is_line_end = true;    ///< '$' may match
};

class Expression {
  public:
    /// `option` is what it was given to, "--expect". Errors: Invalid, with the expression and what is wrong.
    static Result<Expression> compile(std::string_view option, const std::string& text);

    /// False also where the C library has no memory for an answer.
    [[nodiscard]] bool matches(std::string_view line, TextEnds ends);
    [[nodiscard]] const std::string& text() const { return text_; }

  private:
    struct Free {
        void operator()(regex_t* compiled) const;
    };
    using Compiled = std::unique_ptr<regex_t, Free>;
    static Result<Compiled> compile_now(std::string_view option, const std::string& text);

    Expression(std::string text, Compiled compiled)
        : text_(std::move(text)), compiled_(std::move(compiled)) {}

    std::string text_;
    Compiled compiled_;
    std::size_t matched_bytes_ = 0;  // since it was compiled
};

}  // namespace mayfly
