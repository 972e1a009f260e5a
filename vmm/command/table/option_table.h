// SPDX-License-Identifier: Apache-2.0
// Options as a table over a struct of arguments, parsed by the C library's getopt_long.
//
// A C++ command-line library would cost a fifth of a boot and a quarter of the binary here, most of it for
// iostreams and locales; getopt_long is in the C library anyway. Help, man pages and completions come from
// the same table; what parsing needs of it is picked at compile time, so that their texts lie apart from what
// every boot reads. Thread: one thread; getopt_long keeps global state.
#pragma once

#include <array>
#include <functional>
#include <getopt.h>
#include <span>
#include <string>
#include <vector>

#include "vmm/error/result.h"

namespace mayfly {

/// One long option; exactly one of text, list and flag says where its value goes.
template <typename Arguments>
struct Option {
    const char* section = nullptr;  ///< the title of the section that begins with this option
    const char* name;
    char letter = '\0';
    const char* value = nullptr;  ///< what the help calls the value; null: the option takes none
    /// The words that the value may be, separated by spaces, for completion; FILE and DIR stand for names of
    /// files and directories.
    const char* completion = "";
    const char* help = "";
    std::string Arguments::*text = nullptr;
    std::vector<std::string> Arguments::*list = nullptr;
    bool Arguments::*flag = nullptr;
    /// A script's variable that was never set must not mean "no limit" or "no file".
    bool may_be_empty = false;
};

namespace option_table {

constexpr int kLongBase = 0x100;  ///< getopt_long returns this plus an index: above every letter

/// What parsing needs of an option beside its name.
struct Rule {
    char letter;
    bool may_be_empty;
};

/// What parsing needs of a table.
struct Grammar {
    std::span<const ::option> names;  ///< one for each option, and getopt_long's last
    std::span<const Rule> rules;
    const char* letters;
};

using Store = std::function<void(std::size_t index, const char* value)>;

/// The words of a command line that are not options.
struct Words {
    std::vector<std::string> plain;
    std::vector<std::string> behind;  ///< behind a "--", whatever they look like
};

/// A word of another monitor's, and what to write here.
struct ForeignWord {
    const char* word;
    const char* here;
};

/// Calls `store` for each option given. A name may be cut short as long as one option alone begins so.
/// Errors: Invalid; for an option that `grammar` lacks, with the nearest one, or with what `foreign` says.
Result<Words> parse(const Grammar& grammar, int argc, char** argv, const Store& store,
                    std::span<const ForeignWord> foreign = {});

/// Where a value goes.
template <typename Arguments>
struct Destination {
    std::string Arguments::*text;
    std::vector<std::string> Arguments::*list;
    bool Arguments::*flag;
};

/// All that parsing needs of `kOptions`, a constant array of Option<Arguments>.
template <typename Arguments, const auto& kOptions>
struct Parser {
    static constexpr std::size_t kCount = kOptions.size();

    static constexpr std::array<::option, kCount + 1> kNames = [] {
        std::array<::option, kCount + 1> names{};
        for (std::size_t i = 0; i < kCount; ++i)
            names[i] = {kOptions[i].name, kOptions[i].value == nullptr ? no_argument : required_argument,
                        nullptr, kLongBase + static_cast<int>(i)};
        return names;
    }();

    static constexpr std::array<Rule, kCount> kRules = [] {
        std::array<Rule, kCount> rules{};
        for (std::size_t i = 0; i < kCount; ++i) rules[i] = {kOptions[i].letter, kOptions[i].may_be_empty};
        return rules;
    }();

    /// getopt_long's: words in their order; a missing value is ':'.
    static constexpr std::array<char, 2 * kCount + 3> kLetters = [] {
        std::array<char, 2 * kCount + 3> letters{'-', ':'};
        std::size_t used = 2;
        for (const Option<Arguments>& option : kOptions) {
            if (option.letter == '\0') continue;
            letters[used++] = option.letter;
            if (option.value != nullptr) letters[used++] = ':';
        }
        return letters;
    }();

    static constexpr std::array<Destination<Arguments>, kCount> kDestinations = [] {
        std::array<Destination<Arguments>, kCount> destinations{};
        for (std::size_t i = 0; i < kCount; ++i)
            destinations[i] = {kOptions[i].text, kOptions[i].list, kOptions[i].flag};
        return destinations;
    }();

    static constexpr Grammar kGrammar{kNames, kRules, kLetters.data()};

    static void store(std::size_t index, const char* value, Arguments& arguments) {
        const Destination<Arguments>& destination = kDestinations[index];
        if (destination.flag != nullptr) arguments.*destination.flag = true;
        if (destination.text != nullptr) arguments.*destination.text = value;
        if (destination.list != nullptr) (arguments.*destination.list).emplace_back(value);
    }
};

}  // namespace option_table

template <typename Arguments, const auto& kOptions>
Result<option_table::Words> parse_options(int argc, char** argv, Arguments& arguments,
                                          std::span<const option_table::ForeignWord> foreign = {}) {
    using Parser = option_table::Parser<Arguments, kOptions>;
    const auto store = [&](std::size_t index, const char* value) { Parser::store(index, value, arguments); };
    return option_table::parse(Parser::kGrammar, argc, argv, store, foreign);
}

}  // namespace mayfly
