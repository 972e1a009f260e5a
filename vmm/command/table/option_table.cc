// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/table/option_table.h"

#include <cstring>

#include <fmt/format.h>

#include "vmm/command/table/option_hints.h"

namespace mayfly::option_table {

namespace {

constexpr int kPlainWord = 1;  // what getopt_long calls a word that is not an option, when asked by a '-'

/// getopt_long takes the beginning of a name that no other name has.
bool is_whole_name(const char* word, const char* name) {
    if (std::strncmp(word, "--", 2) != 0) return true;
    const std::size_t length = std::strlen(name);
    return std::strncmp(word + 2, name, length) == 0 && (word[2 + length] == '\0' || word[2 + length] == '=');
}

/// The word that getopt_long has just looked at: the one before the next, or the one before its value.
const char* current_word(char** argv, const ::option& option) {
    const bool value_is_next_word = option.has_arg != no_argument && ::optarg == argv[::optind - 1];
    return argv[::optind - (value_is_next_word ? 2 : 1)];
}

}  // namespace

Result<Words> parse(const Grammar& grammar, int argc, char** argv, const Store& store,
                    std::span<const ForeignWord> foreign) {
    ::opterr = 0;
    ::optind = 0;  // start afresh
    Words words;
    for (;;) {
        const int word_index = ::optind == 0 ? 1 : ::optind;
        const int found = ::getopt_long(argc, argv, grammar.letters, grammar.names.data(), nullptr);
        if (found == -1) break;
        if (found == kPlainWord) {
            words.plain.emplace_back(::optarg);
            continue;
        }
        if (found == '?' || found == ':') {
            const char* word = argv[::optind > word_index ? ::optind - 1 : word_index];
            if (found == '?') return fail(refused_option(word, grammar, foreign));
            return fail(Error::invalid(fmt::format("{} needs a value", word)).hint("see --help"));
        }
        std::size_t index = static_cast<std::size_t>(found - kLongBase);
        if (found < kLongBase) {
            for (index = 0; grammar.rules[index].letter != found;) ++index;
        }
        const ::option& option = grammar.names[index];
        // What is somebody else's word is not the beginning of one of ours: --kernel, say.
        if (found >= kLongBase && !is_whole_name(current_word(argv, option), option.name)) {
            if (std::optional<Error> error = foreign_option(current_word(argv, option), foreign))
                return fail(std::move(*error));
        }
        if (option.has_arg != no_argument && *::optarg == '\0' && !grammar.rules[index].may_be_empty)
            return fail(Error::invalid(fmt::format("--{}: the value is empty", option.name)));
        store(index, ::optarg);
    }
    words.behind.assign(argv + ::optind, argv + argc);
    return words;
}

}  // namespace mayfly::option_table
