// SPDX-License-Identifier: Apache-2.0
// Expression: a user's extended regular expression, matched against a guest's output.
//
// The text may be an attacker's: see ExpressionProgram. Characters are those of UTF-8, without a locale; a
// byte outside of any character is a character of its own, and so is a NUL. Classes and words are ASCII's.
// Thread: one at a time.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "vmm/error/result.h"
#include "vmm/watch/expression_program.h"

namespace mayfly {

class Expression {
  public:
    /// `option` is its option, "--expect". Errors: Invalid, with the expression, the mistake, and a remedy.
    static Result<Expression> compile(std::string_view option, const std::string& text);

    /// `gives_up` is called now and then (ExpressionProgram).
    [[nodiscard]] bool matches(std::string_view line, TextEnds ends,
                               const std::function<bool()>& gives_up = {}) {
        return program_.matches(line, ends, gives_up);
    }
    /// The most instructions that a character of a line costs; kInstructionsMax (expression_parser.h) or
    /// less.
    [[nodiscard]] std::size_t size() const { return program_.size(); }

  private:
    explicit Expression(ExpressionProgram program) : program_(std::move(program)) {}

    ExpressionProgram program_;
};

}  // namespace mayfly
