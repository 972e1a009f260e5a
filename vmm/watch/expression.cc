// SPDX-License-Identifier: Apache-2.0
#include "vmm/watch/expression.h"

#include <array>

#include <fmt/format.h>

namespace mayfly {

namespace {

/// The C library makes at most one state, of some 2.5 KiB, for each byte it looks at, and keeps it.
constexpr std::size_t kRecompileAfterBytes = 8 * 1024;

/// Where the bracket expression that begins at `at` ends, just behind its ']'. A backslash is an ordinary
/// character inside (POSIX.1-2017 9.3.5 "RE Bracket Expression").
std::size_t after_bracket(std::string_view text, std::size_t at) {
    ++at;
    if (at < text.size() && text[at] == '^') ++at;
    if (at < text.size() && text[at] == ']') ++at;
    while (at < text.size() && text[at] != ']') {
        const char kind = text[at] == '[' && at + 1 < text.size() ? text[at + 1] : '\0';
        if (kind == ':' || kind == '.' || kind == '=') {
            const std::array<char, 2> closing{kind, ']'};
            const std::size_t end = text.find(std::string_view(closing.data(), closing.size()), at + 2);
            if (end == std::string_view::npos) return text.size();
            at = end + 2;
        } else {
            ++at;
        }
    }
    return at + 1;
}

/// What regcomp takes and we do not; empty for nothing.
std::string_view objection(std::string_view text) {
    std::size_t depth = 0;
    std::size_t at = 0;
    while (at < text.size()) {
        if (text[at] == '[') {
            at = after_bracket(text, at);
            continue;
        }
        if (text[at] == '\\') {
            ++at;
            if (at < text.size() && text[at] >= '1' && text[at] <= '9') return "has a back-reference";
        } else if (text[at] == '(') {
            ++depth;
        } else if (text[at] == ')') {
            if (depth == 0) return "has a ) without its (";
            --depth;
        }
        ++at;
    }
    return {};
}

/// The same expression, such that the C library need not try it from each byte of a line anew, which takes
/// quadratic time: anything from the text's beginning (GNU's \`, which REG_NOTBOL leaves alone), then it. A
/// dot would not match a NUL; there is no LF in a line.
std::string from_beginning(const std::string& text) { return "\\`[^\n]*(" + text + ")"; }

}  // namespace

void Expression::Free::operator()(regex_t* compiled) const {
    ::regfree(compiled);
    delete compiled;
}

Result<Expression::Compiled> Expression::compile_now(std::string_view option, const std::string& text) {
    auto* raw = new regex_t();
    const int code = ::regcomp(raw, text.c_str(), REG_EXTENDED | REG_NOSUB);
    if (code == 0) return Compiled(raw);
    std::array<char, 128> why{};
    ::regerror(code, raw, why.data(), why.size());
    delete raw;  // regcomp has freed what it had made
    return fail(Error::invalid(fmt::format("{} '{}' is no regular expression: {}", option, text, why.data()))
                    .hint("extended ones, as grep -E takes them"));
}

Result<Expression> Expression::compile(std::string_view option, const std::string& text) {
    if (text.empty())
        return fail(Error::invalid(fmt::format("{} is empty: it would match every line", option)));
    // First as it is: what is wrong should be said of what the user wrote.
    TRY_VOID(compile_now(option, text));
    const std::string_view why_not = objection(text);
    if (!why_not.empty())
        return fail(
            Error::invalid(fmt::format("{} '{}' {}", option, text, why_not))
                .hint(
                    "a back-reference would let a guest make matching take for ever; \\) is a parenthesis"));
    Compiled compiled = TRY(compile_now(option, from_beginning(text)));
    return Expression(text, std::move(compiled));
}

bool Expression::matches(std::string_view line, TextEnds ends) {
    matched_bytes_ += line.size() + 1;
    if (matched_bytes_ > kRecompileAfterBytes) {
        // Without memory for a new one, the old one stays.
        if (Result<Compiled> fresh = compile_now({}, from_beginning(text_))) compiled_ = std::move(*fresh);
        matched_bytes_ = 0;
    }
    regmatch_t range{};
    range.rm_so = 0;
    range.rm_eo = static_cast<regoff_t>(line.size());
    // REG_STARTEND: the text has a length, not a NUL at its end. The C library takes no null pointer.
    int flags = REG_STARTEND;
    if (!ends.is_line_start) flags |= REG_NOTBOL;
    if (!ends.is_line_end) flags |= REG_NOTEOL;
    return ::regexec(compiled_.get(), line.empty() ? "" : line.data(), 1, &range, flags) == 0;
}

}  // namespace mayfly
