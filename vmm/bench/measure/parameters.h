// SPDX-License-Identifier: Apache-2.0
// Parameters of a benchmark: names with a list of values each, which replace "{NAME}" in words.
//
// Only names that were declared are replaced, and each text once: a value's own braces, and any other
// braces, stay as they are. Thread: values only.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/error/result.h"

namespace mayfly {

struct Parameter {
    std::string name;
    std::vector<std::string> values;

    /// "NAME=VALUE,VALUE": a name of letters, digits, '-', '_' and '.'; a comma that belongs to a value is
    /// written twice. Errors: Invalid for another name, no list, and an empty value.
    static Result<Parameter> parse(std::string_view text);
};

/// A parameter with one of its values.
struct Setting {
    std::string name;
    std::string value;
};

[[nodiscard]] bool mentions(std::string_view text, std::string_view name);
[[nodiscard]] std::string substitute(std::string_view text, std::span<const Setting> settings);

/// Each combination of the values, the last parameter's changing fastest; one that is empty without
/// parameters. Errors: Invalid when there are more than `max`.
Result<std::vector<std::vector<Setting>>> combinations(std::span<const Parameter> parameters,
                                                       std::size_t max);

}  // namespace mayfly
