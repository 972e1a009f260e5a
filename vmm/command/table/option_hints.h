// SPDX-License-Identifier: Apache-2.0
// What to tell somebody whose option or command does not exist: the name that was meant, as far as it shows.
//
// Pure functions; only errors run them.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "vmm/command/table/option_table.h"

namespace mayfly {

/// How many characters must be added, dropped, replaced or swapped with the next to make one of the other.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

/// The one of `names` that `word` is most like; none that is not like it.
[[nodiscard]] std::optional<std::string_view> nearest_name(std::string_view word,
                                                           std::span<const std::string_view> names);

namespace option_table {

/// What is said of a word that another monitor takes, with its dashes and perhaps a value.
[[nodiscard]] std::optional<Error> foreign_option(std::string_view word,
                                                  std::span<const ForeignWord> foreign);

/// `word` is what getopt_long did not take: with its dashes, and perhaps a value.
Error refused_option(std::string_view word, const Grammar& grammar, std::span<const ForeignWord> foreign);

}  // namespace option_table

}  // namespace mayfly
