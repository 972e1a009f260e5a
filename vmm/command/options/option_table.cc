// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/options/option_table.h"

#include <cstring>
#include <getopt.h>

#include <fmt/format.h>

namespace mayfly::option_table {

namespace {

constexpr int kLongBase = 0x100;  // above every short option's character
constexpr int kPlainWord = 1;     // what getopt_long calls a word that is not an option, when asked by a '-'
constexpr std::size_t kHelpColumn = 30;

/// getopt_long takes any unambiguous beginning of a name; only the whole name counts here.
bool is_whole_name(const char* word, const char* name) {
    if (std::strncmp(word, "--", 2) != 0) return true;
    const std::size_t length = std::strlen(name);
    return std::strncmp(word + 2, name, length) == 0 && (word[2 + length] == '\0' || word[2 + length] == '=');
}

Error unknown(std::string_view word) {
    return Error::invalid(fmt::format("no option is called '{}'", word)).hint("see --help");
}

/// The word that getopt_long has just looked at: the one before the next, or the one before its value.
const char* current_word(char** argv, const Shape& shape) {
    const bool value_is_next_word = shape.value != nullptr && ::optarg == argv[::optind - 1];
    return argv[::optind - (value_is_next_word ? 2 : 1)];
}

}  // namespace

Result<Words> parse(std::span<const Shape> shapes, int argc, char** argv, const Store& store) {
    std::vector<option> table;
    table.reserve(shapes.size() + 1);
    std::string letters = "-:";  // words in their order; a missing value is ':'
    for (std::size_t i = 0; i < shapes.size(); ++i) {
        const Shape& shape = shapes[i];
        const int takes = shape.value == nullptr ? no_argument : required_argument;
        table.push_back({shape.name, takes, nullptr, kLongBase + static_cast<int>(i)});
        if (shape.letter != '\0') letters += shape.letter;
        if (shape.letter != '\0' && shape.value != nullptr) letters += ':';
    }
    table.push_back({});
    ::opterr = 0;
    ::optind = 0;  // start afresh
    Words words;
    for (;;) {
        const int word_index = ::optind == 0 ? 1 : ::optind;
        const int found = ::getopt_long(argc, argv, letters.c_str(), table.data(), nullptr);
        if (found == -1) break;
        if (found == kPlainWord) {
            words.plain.emplace_back(::optarg);
            continue;
        }
        if (found == '?' || found == ':') {
            const char* word = argv[::optind > word_index ? ::optind - 1 : word_index];
            if (found == '?') return fail(unknown(word));
            return fail(Error::invalid(fmt::format("{} needs a value", word)).hint("see --help"));
        }
        std::size_t index = static_cast<std::size_t>(found - kLongBase);
        if (found < kLongBase) {
            for (index = 0; shapes[index].letter != found;) ++index;
        }
        const Shape& shape = shapes[index];
        if (found >= kLongBase && !is_whole_name(current_word(argv, shape), shape.name))
            return fail(unknown(current_word(argv, shape)));
        if (shape.value != nullptr && *::optarg == '\0' && !shape.may_be_empty)
            return fail(Error::invalid(fmt::format("--{}: the value is empty", shape.name)));
        store(index, ::optarg);
    }
    words.behind.assign(argv + ::optind, argv + argc);
    return words;
}

std::string print(std::span<const Shape> shapes) {
    std::string text = "options:\n";
    for (const Shape& shape : shapes) {
        std::string left = shape.letter == '\0' ? "  " : fmt::format("  -{}, ", shape.letter);
        left += fmt::format("--{}", shape.name);
        if (shape.value != nullptr) left += fmt::format(" {}", shape.value);
        text += fmt::format("{:<{}} {}\n", left, kHelpColumn, shape.help);
    }
    return text;
}

}  // namespace mayfly::option_table
