// SPDX-License-Identifier: Apache-2.0
#include "vmm/bench/measure/marks.h"

#include <fmt/format.h>

#include "vmm/watch/plain_text.h"

namespace mayfly {

namespace {

/// Bounds our memory for a console without line ends.
constexpr std::size_t kLineMaxBytes = 4096;
constexpr std::string_view kNameCharacters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";

}  // namespace

Result<ConsoleMark> ConsoleMark::parse(std::string_view text) {
    const std::size_t equals = text.find('=');
    const std::string_view before = text.substr(0, equals);
    const bool is_named = equals != std::string_view::npos && !before.empty() &&
                          before.find_first_not_of(kNameCharacters) == std::string_view::npos;
    const std::string pattern(is_named ? text.substr(equals + 1) : text);
    if (pattern.empty())
        return fail(Error::invalid(fmt::format("--mark '{}': the expression is empty", text)));
    Expression expression = TRY(Expression::compile("--mark", pattern));
    return ConsoleMark(is_named ? std::string(before) : visible(text),
                       std::make_unique<Expression>(std::move(expression)));
}

bool ConsoleMark::matches(std::string_view line) const { return expression_->matches(line, {}); }

void MarkWatch::look(std::vector<std::size_t>& found) {
    for (std::size_t i = 0; i < seen_.size(); ++i) {
        if (seen_[i] || !(*marks_)[i].matches(line_)) continue;
        seen_[i] = true;
        found.push_back(i);
    }
}

std::vector<std::size_t> MarkWatch::take(std::string_view bytes) {
    std::vector<std::size_t> found;
    for (const char c : bytes) {
        if (c == '\n') {
            look(found);
            line_.clear();
        } else if (c != '\r' && line_.size() < kLineMaxBytes) {
            line_ += c;
        }
    }
    if (!line_.empty()) look(found);
    return found;
}

}  // namespace mayfly
