// SPDX-License-Identifier: Apache-2.0
// read_json(): a JSON text as plain values, without the members that nobody wants.
//
// Not nlohmann::json, whose parser would be a twentieth of the binary. The text may come from anywhere:
// depth and number of values are limited. Thread: values only.
// Spec: RFC 8259, The JavaScript Object Notation (JSON) Data Interchange Format.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/error/ints.h"

namespace mayfly {

struct JsonValue {
    enum class Kind : u8 { Null, Boolean, Number, Text, Array, Object };
    Kind kind = Kind::Null;
    std::string text{};                ///< of a Text; of a Number as it stands there
    std::vector<std::string> names{};  ///< of an Object's items
    std::vector<JsonValue> items{};    ///< of an Array or an Object

    /// null for what is not an Object, and where there is none of this name; the first of several.
    [[nodiscard]] const JsonValue* find(std::string_view name) const;
    /// Empty for what is not a whole number from 0 to 2^64 - 1.
    [[nodiscard]] std::optional<u64> number() const;
};

struct JsonReading {
    std::optional<JsonValue> value;
    /// Where it is not JSON, or beyond a limit, without a value. Behind the last byte: more was expected.
    std::size_t stopped_at = 0;
};

/// Members of the outermost object that are called `unwanted` are checked and left out.
[[nodiscard]] JsonReading read_json(std::string_view text, std::string_view unwanted);

}  // namespace mayfly
