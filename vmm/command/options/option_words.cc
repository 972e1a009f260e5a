// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/options/option_words.h"

#include <fmt/format.h>

namespace mayfly {

std::vector<std::string> split_words(std::string_view text) {
    std::vector<std::string> words(1);
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != ',') {
            words.back() += text[i];
        } else if (i + 1 < text.size() && text[i + 1] == ',') {
            words.back() += text[i++];
        } else {
            words.emplace_back();
        }
    }
    return words;
}

KeyValue split_key(const std::string& word) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) return {word, "", false};
    return {word.substr(0, equals), word.substr(equals + 1), true};
}

Error unknown_key(std::string_view option, const KeyValue& word, std::string_view help) {
    constexpr std::string_view kBetween = ": ";
    return Error::invalid(fmt::format("{}: '{}{}' is not known", option, word.key, word.has_value ? "=" : ""))
        .hint(fmt::format("{} {}; a comma in a name is written ',,'", option,
                          help.substr(help.find(kBetween) + kBetween.size())));
}

std::string without_backslashes(std::string_view path) {
    std::string plain;
    for (std::size_t i = 0; i < path.size(); ++i) {
        if (path.substr(i, 2) == "\\:") ++i;
        plain += path[i];
    }
    return plain;
}

}  // namespace mayfly
