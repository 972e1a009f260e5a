// SPDX-License-Identifier: Apache-2.0
// Text in a given number of columns: paragraphs, descriptions beside names, and rows that end in a figure.
//
// A column is a character of UTF-8; none of ours is wider. Pure functions.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "vmm/error/ints.h"

namespace mayfly {

/// Of UTF-8 text.
[[nodiscard]] std::size_t text_width(std::string_view text);

/// `text` with its lines broken at spaces, and before a "[,", to fit `columns`; each after the first stands
/// behind `indent` spaces. Its own line ends stay. `start` is how many columns of the first line are taken. A
/// word that is longer than a line is broken behind one of "|:,=", or has a line of its own. No line end at
/// the end.
[[nodiscard]] std::string wrap_text(std::string_view text, std::size_t columns, std::size_t indent = 0,
                                    std::size_t start = 0);

/// `name` and, from column `column` on, `description`; below the name where that is too long, and in a narrow
/// text for all. Ends with a line end.
[[nodiscard]] std::string describe(std::string_view name, std::string_view description, std::size_t column,
                                   std::size_t columns);

/// The items, two spaces between them, on lines that fit `columns`, all behind `indent` spaces. Ends with a
/// line end; empty without items.
[[nodiscard]] std::string item_lines(std::span<const std::string> items, std::size_t columns,
                                     std::size_t indent);

/// `left`, and `right` at the end of a line of `width` columns, or of `columns` where that is less; on a line
/// of its own where both do not fit. Ends with a line end.
[[nodiscard]] std::string figure_row(std::string_view left, std::string_view right, std::size_t width,
                                     std::size_t columns);

}  // namespace mayfly
