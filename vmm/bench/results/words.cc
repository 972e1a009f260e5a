// SPDX-License-Identifier: Apache-2.0
#include "vmm/bench/results/words.h"

#include <fmt/format.h>

namespace mayfly {

namespace {

constexpr std::string_view kShellOnly = "|&;<>()$`*?[#~\n";
constexpr std::string_view kSafe =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./:,+@%=^";

Error shell_needed(std::string_view text, char what) {
    return Error::invalid(fmt::format("'{}': '{}' needs a shell", text, what)).hint("quote it");
}

}  // namespace

Result<std::vector<std::string>> split_command(std::string_view text) {
    std::vector<std::string> words;
    std::string word;
    bool has_word = false;
    char quote = '\0';
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        const bool is_last = i + 1 == text.size();
        if (quote != '\0' && c == quote) {
            quote = '\0';
        } else if (c == '\\' && quote != '\'' && !is_last) {
            const char next = text[++i];
            // Inside "…" a backslash quotes these only.
            if (quote == '"' && std::string_view("\"\\$`").find(next) == std::string_view::npos) word += c;
            word += next;
            has_word = true;
        } else if (quote == '\'' || (quote == '"' && c != '$' && c != '`')) {
            word += c;
        } else if (quote == '\0' && (c == '\'' || c == '"')) {
            quote = c;
            has_word = true;
        } else if (quote == '\0' && (c == ' ' || c == '\t')) {
            if (has_word) words.push_back(std::move(word));
            word.clear();
            has_word = false;
        } else if (kShellOnly.find(c) != std::string_view::npos) {
            return fail(shell_needed(text, c));
        } else {
            word += c;
            has_word = true;
        }
    }
    if (quote != '\0')
        return fail(Error::invalid(fmt::format("'{}': a quote {} is not closed", text, quote)));
    if (has_word) words.push_back(std::move(word));
    if (words.empty()) return fail(Error::invalid(fmt::format("'{}' is not a command", text)));
    return words;
}

std::string join_command(std::span<const std::string> words) {
    std::string line;
    for (const std::string& word : words) {
        if (!line.empty()) line += ' ';
        if (!word.empty() && word.find_first_not_of(kSafe) == std::string::npos) {
            line += word;
            continue;
        }
        line += '\'';
        for (const char c : word) {
            if (c == '\'') {
                line += "'\\''";
            } else {
                line += c;
            }
        }
        line += '\'';
    }
    return line;
}

}  // namespace mayfly
