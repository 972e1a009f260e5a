// SPDX-License-Identifier: Apache-2.0
#include "vmm/watch/expression.h"

#include <fmt/format.h>

#include "vmm/watch/expression_parser.h"
#include "vmm/watch/plain_text.h"

namespace mayfly {

Result<Expression> Expression::compile(std::string_view option, const std::string& text) {
    if (text.empty())
        return fail(Error::invalid(fmt::format("{} is empty: it would match every line", option)));
    std::variant<ExpressionProgram, ExpressionFault> parsed = parse_expression(text);
    if (const auto* fault = std::get_if<ExpressionFault>(&parsed))
        return fail(Error::invalid(visible(fmt::format("{} '{}' {}", option, text, fault->what)))
                        .hint(visible(fault->cure)));
    auto program = std::get<ExpressionProgram>(std::move(parsed));
    if (program.may_be_empty())
        return fail(
            Error::invalid(visible(fmt::format(
                               "{} '{}' matches an empty text: it would match every line", option, text)))
                .hint("write what has to be there, a+ for a*; ^$ is an empty line"));
    return Expression(std::move(program));
}

}  // namespace mayfly
