// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/table/option_hints.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

namespace mayfly {

std::size_t edit_distance(std::string_view a, std::string_view b) {
    // Optimal string alignment: three rows of the usual table.
    std::vector<std::size_t> before_last(b.size() + 1);
    std::vector<std::size_t> last(b.size() + 1);
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before_last[j - 2] + 1);
        }
        std::swap(before_last, last);
        std::swap(last, row);
    }
    return last[b.size()];
}

std::optional<std::string_view> nearest_name(std::string_view word, std::span<const std::string_view> names) {
    constexpr std::size_t kWordMax = 64;  // the time goes with its square
    if (word.size() > kWordMax) return std::nullopt;
    std::optional<std::string_view> nearest;
    std::size_t least = std::max<std::size_t>(1, word.size() / 3) + 1;
    for (const std::string_view name : names) {
        const std::size_t distance = edit_distance(word, name);
        if (distance >= least || distance >= name.size()) continue;
        least = distance;
        nearest = name;
    }
    return nearest;
}

namespace option_table {

namespace {

Error unknown_option(std::string_view given) {
    return Error::invalid(fmt::format("mayfly has no option '{}'", given));
}

/// "-m512" as well as "-m": a letter with its value.
bool is_letter_with_value(std::string_view given, std::string_view word) {
    return word.size() == 2 && given.size() > 2 && given.starts_with(word) && given[2] >= '0' &&
           given[2] <= '9';
}

std::string_view without_dashes(std::string_view word) {
    return word.substr(std::min(word.size(), word.find_first_not_of('-')));
}

Error answered(std::string_view given, const ForeignWord& one) {
    return unknown_option(given).hint(fmt::format("{}; see --help", one.here));
}

/// QEMU takes one dash or two, and so do its users; a letter is a word of its own.
std::optional<Error> foreign_with_other_dashes(std::string_view given, std::span<const ForeignWord> foreign) {
    constexpr std::size_t kLettersMin = 2;
    const std::string_view bare = without_dashes(given);
    for (const ForeignWord& one : foreign) {
        if (bare.size() >= kLettersMin && bare == without_dashes(one.word)) return answered(given, one);
    }
    return std::nullopt;
}

}  // namespace

std::optional<Error> foreign_option(std::string_view word, std::span<const ForeignWord> foreign) {
    const std::string_view given = word.substr(0, word.find('='));
    for (const ForeignWord& one : foreign) {
        if (given == one.word || is_letter_with_value(given, one.word)) return answered(given, one);
    }
    return std::nullopt;
}

Error refused_option(std::string_view word, const Grammar& grammar, std::span<const ForeignWord> foreign) {
    const std::string_view given = word.substr(0, word.find('='));
    if (std::optional<Error> error = foreign_option(word, foreign)) return std::move(*error);
    const bool is_long = given.starts_with("--");
    const std::string_view bare = without_dashes(given);
    std::vector<std::string_view> names;
    std::string candidates;
    for (const ::option& option : grammar.names) {
        if (option.name == nullptr) break;
        const std::string_view name = option.name;
        names.push_back(name);
        if (is_long && name == bare)
            return Error::invalid(fmt::format("--{} takes no value, and '{}' gives it one", name, word))
                .hint(fmt::format("--{}", name));
        if (is_long && !bare.empty() && name.starts_with(bare))
            candidates += fmt::format("{}--{}", candidates.empty() ? "" : ", ", name);
    }
    // getopt_long takes the beginning of one name; so there are several, or it was given a value.
    if (candidates.find(',') != std::string::npos)
        return Error::invalid(fmt::format("'{}' may be any of {}", given, candidates))
            .hint("write enough of the name to tell them apart");
    if (!candidates.empty())
        return Error::invalid(fmt::format("{} takes no value, and '{}' gives it one", candidates, word));
    if (std::optional<Error> error = foreign_with_other_dashes(given, foreign)) return std::move(*error);
    Error error = unknown_option(given);
    // Two letters are near to everything.
    constexpr std::size_t kLettersMin = 3;
    if (const std::optional<std::string_view> meant = nearest_name(bare, names);
        meant && bare.size() >= kLettersMin)
        return std::move(error).hint(fmt::format("did you mean --{}? see --help", *meant));
    return std::move(error).hint("see --help");
}

}  // namespace option_table

}  // namespace mayfly
