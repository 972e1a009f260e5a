// SPDX-License-Identifier: Apache-2.0
// Pieces of the HTML page: style sheet and charts. Inline SVG, no script. Thread: values only.
#pragma once

#include <string>
#include <string_view>

#include "vmm/bench/results/document.h"

namespace mayfly::html {

extern const std::string_view kStyle;

/// A figure or a label as a page shows it: µs, ×, →; escaped.
[[nodiscard]] std::string pretty(std::string_view text);

/// The class that gives a column its colour.
[[nodiscard]] std::string column_class(std::size_t column);

/// The distribution of exec -> exit, and of the first instruction where it is known; empty without good runs.
[[nodiscard]] std::string distribution_chart(const Document& document);

/// A bar of phases and their table, for one column; empty without good runs.
[[nodiscard]] std::string phase_chart(const Document& document, std::size_t column);

}  // namespace mayfly::html
