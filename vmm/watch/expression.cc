// SPDX-License-Identifier: Apache-2.0
#include "vmm/watch/expression.h"

#include <fmt/format.h>

#include "vmm/watch/expression_parser.h"

namespace mayfly {

Result<Expression> Expression::compile(std::string_view option, const std::string& text) {
    if (text.empty())
        return fail(Error::invalid(fmt::format("{} is empty: it would match every line", option)));
    std::variant<ExpressionProgram, ExpressionFault> parsed = parse_expression(text);
    if (const auto* fault = std::get_if<ExpressionFault>(&parsed))
        return fail(Error::invalid(fmt::format("{} '{}' {}", option, text, fault->what)).hint(fault->cure));
    return Expression(std::get<ExpressionProgram>(std::move(parsed)));
}

}  // namespace mayfly
