// SPDX-License-Identifier: Apache-2.0
// Expression: one extended regular expression of the user's, matched against what a guest wrote.
//
// The text is the attacker's: see ExpressionProgram. Characters are those of UTF-8, without a locale; a byte
// that is none is a character of its own, and so is a NUL. Classes and words are ASCII's. Thread: one at a
// time.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "vmm/error/result.h"
#include "vmm/watch/expression_program.h"

namespace mayfly {

class Expression {
  public:
    /// `option` is what it was given to, "--expect". Errors: Invalid, with the expression, what is wrong, and
    /// what to write instead.
    static Result<Expression> compile(std::string_view option, const std::string& text);

    /// `gives_up` is asked now and then (ExpressionProgram).
    [[nodiscard]] bool matches(std::string_view line, TextEnds ends,
                               const std::function<bool()>& gives_up = {}) {
        return program_.matches(line, ends, gives_up);
    }
    /// What a character of a line costs at most; kInstructionsMax (expression_parser.h) or less.
    [[nodiscard]] std::size_t size() const { return program_.size(); }

  private:
    explicit Expression(ExpressionProgram program) : program_(std::move(program)) {}

    ExpressionProgram program_;
};

}  // namespace mayfly
