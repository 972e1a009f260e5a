// SPDX-License-Identifier: Apache-2.0
// Plain text: a guest's bytes without terminal commands, safe to print.
//
// Pure functions; any thread. Spec: ECMA-48, 5th edition, 5.4 "Control sequences" and 5.6 "Control strings".
#pragma once

#include <string>
#include <string_view>

#include "vmm/error/ints.h"

namespace mayfly {

struct Utf8Sequence {
    std::size_t length;  ///< 0: the character is not well-formed
    u32 value;
};
/// At the beginning of `text`, which is not empty (Unicode 15.0, 3.9 "Unicode Encoding Forms", table 3-7).
[[nodiscard]] Utf8Sequence first_utf8(std::string_view text);

/// Removes escape sequences from lines, in memory that is reused for each line.
class EscapeFilter {
  public:
    /// `line` without them: itself where it has none, else valid until the next call.
    [[nodiscard]] std::string_view apply(std::string_view line);

  private:
    std::string without_;
};

/// Valid UTF-8 without control characters but tab: each of them, and each byte that is not UTF-8, becomes
/// U+FFFD; so do the noncharacters that XML forbids. So a user's text stays on one line of a message.
[[nodiscard]] std::string visible(std::string_view text);

/// The same, for a line of a guest's, without its escape sequences.
[[nodiscard]] std::string shown(std::string_view line);

/// `text`, of shown() lines, as XML's character data or attribute value.
[[nodiscard]] std::string xml_escaped(std::string_view text);

}  // namespace mayfly
