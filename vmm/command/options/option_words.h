// SPDX-License-Identifier: Apache-2.0
// How values of options are cut: "WHAT,key,key=value", and paths with colons behind them. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "vmm/error/error.h"

namespace mayfly {

/// Splits at single commas; two in a row stand for one. At least one word.
[[nodiscard]] std::vector<std::string> split_words(std::string_view text);

struct KeyValue {
    std::string key;
    std::string value;
    bool has_value = false;
};
[[nodiscard]] KeyValue split_key(const std::string& word);

/// `help`: the option's.
Error unknown_key(std::string_view option, const KeyValue& word, std::string_view help);

/// Of a guest's path, whose own colons are behind backslashes.
[[nodiscard]] std::string without_backslashes(std::string_view path);

}  // namespace mayfly
