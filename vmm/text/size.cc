// SPDX-License-Identifier: Apache-2.0
#include "vmm/text/size.h"

#include <array>
#include <charconv>
#include <optional>

#include <fmt/format.h>

namespace mayfly {

namespace {

std::string quoted(std::string_view text) { return fmt::format("'{}'", text); }

struct Decimal {
    u64 whole = 0;
    u64 thousandths = 0;
    std::string_view rest;  ///< after the number
};

/// Digits, then perhaps a point and one to three more. A whole part beyond 64 bits reads as the largest
/// number.
std::optional<Decimal> parse_decimal(std::string_view text) {
    Decimal number;
    const char* end = text.data() + text.size();
    const auto [after, status] = std::from_chars(text.data(), end, number.whole);
    if (status == std::errc::invalid_argument) return std::nullopt;
    if (status == std::errc::result_out_of_range) number.whole = ~u64{0};
    number.rest = std::string_view(after, static_cast<std::size_t>(end - after));
    if (number.rest.empty() || number.rest.front() != '.') return number;
    number.rest.remove_prefix(1);
    u64 scale = 1000;
    while (!number.rest.empty() && number.rest.front() >= '0' && number.rest.front() <= '9' && scale > 1) {
        scale /= 10;
        number.thousandths += static_cast<u64>(number.rest.front() - '0') * scale;
        number.rest.remove_prefix(1);
    }
    return scale == 1000 ? std::nullopt : std::optional(number);
}

/// The power of 1024 that a suffix stands for, or -1.
int suffix_power(std::string_view suffix) {
    if (suffix.empty() || suffix == "B" || suffix == "b") return 0;
    const char letter = static_cast<char>(suffix.front() | 0x20);
    const std::string_view rest = suffix.substr(1);
    if (!rest.empty() && rest != "B" && rest != "b" && rest != "iB" && rest != "ib") return -1;
    switch (letter) {
        case 'k': return 1;
        case 'm': return 2;
        case 'g': return 3;
        case 't': return 4;
        default: return -1;
    }
}

}  // namespace

Result<u64> parse_size(std::string_view text) {
    const std::optional<Decimal> number = parse_decimal(text);
    const int power = number ? suffix_power(number->rest) : -1;
    if (power < 0 || (power == 0 && number->thousandths != 0))
        return fail(Error::invalid("not a size: " + quoted(text)).hint("examples: 128M, 2G, 65536"));
    const u64 unit = u64{1} << (10 * power);
    if (number->whole > (~u64{0} - unit) / unit)
        return fail(Error::invalid("size " + quoted(text) + " does not fit 64 bits"));
    return number->whole * unit + unit / 1000 * number->thousandths +
           unit % 1000 * number->thousandths / 1000;
}

Result<u64> parse_seconds_ms(std::string_view text, u64 seconds_max) {
    const std::optional<Decimal> number = parse_decimal(text);
    const bool is_number = number && number->rest.empty() && number->whole <= seconds_max;
    const u64 milliseconds = is_number ? number->whole * 1000 + number->thousandths : 0;
    if (milliseconds == 0 || milliseconds > seconds_max * 1000)
        return fail(Error::invalid(
            fmt::format("{} is not a number of seconds from 0.001 to {}", quoted(text), seconds_max)));
    return milliseconds;
}

Result<u64> parse_number(std::string_view text, u64 max) {
    const bool is_hex = text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    const std::string_view digits = is_hex ? text.substr(2) : text;
    u64 value = 0;
    const auto [after, status] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, is_hex ? 16 : 10);
    if (status == std::errc::invalid_argument || after != digits.data() + digits.size())
        return fail(Error::invalid("not a number: " + quoted(text)));
    if (status == std::errc::result_out_of_range || value > max)
        return fail(Error::invalid(fmt::format("{} is above the limit of {}", text, max)));
    return value;
}

std::string print_size(u64 bytes) {
    constexpr std::array<std::string_view, 5> kUnits{"bytes", "KiB", "MiB", "GiB", "TiB"};
    std::size_t unit = 0;
    while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < kUnits.size()) {
        bytes /= 1024;
        ++unit;
    }
    return fmt::format("{} {}", bytes, kUnits[unit]);
}

}  // namespace mayfly
