// SPDX-License-Identifier: Apache-2.0
// Sizes and numbers as people write them on a command line and as we print them.
#pragma once

#include <string>
#include <string_view>

#include "vmm/error/result.h"

namespace mayfly {

/// "128M", "2G", "65536", "1.5G": bytes, with a suffix K, M, G or T (powers of 1024, either case, optional
/// "iB" or "B"). Errors: Invalid, with the text, for anything else, including numbers beyond 64 bits.
Result<u64> parse_size(std::string_view text);

/// Decimal or 0x-prefixed hexadecimal, all of `text`, at most `max`. Errors: Invalid, with the limit.
Result<u64> parse_number(std::string_view text, u64 max);

/// Seconds with at most three decimals, "5" or "0.25", as milliseconds. Errors: Invalid for anything else and
/// for a number outside of 0 to `seconds_max`.
Result<u64> parse_seconds_ms(std::string_view text, u64 seconds_max);

/// "128 MiB", "4 KiB", "1000 bytes": exact, in the largest unit that divides it.
std::string print_size(u64 bytes);

}  // namespace mayfly
