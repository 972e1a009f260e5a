// SPDX-License-Identifier: Apache-2.0
#include "vmm/watch/plain_text.h"

namespace mayfly {

namespace {

constexpr char kEscape = '\x1b';
constexpr char kBell = '\x07';
constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

bool is_in(char byte, u8 first, u8 last) {
    const auto value = static_cast<u8>(byte);
    return value >= first && value <= last;
}

struct EscapeEnd {
    std::size_t at;  ///< behind it
    bool may_end;    ///< false once no control string can end, so that introducers stop searching
};

/// Of the escape sequence that begins at `at`. An unterminated control string loses only its introducer: the
/// text after it may match.
EscapeEnd end_of_escape(std::string_view line, std::size_t at, bool may_end) {
    ++at;
    if (at == line.size()) return {at, may_end};
    const char kind = line[at];
    if (kind == '[') {
        ++at;
        while (at < line.size() && is_in(line[at], 0x20, 0x3f)) ++at;  // parameters, intermediates
        return {at < line.size() && is_in(line[at], 0x40, 0x7e) ? at + 1 : at, may_end};
    }
    if (kind == ']' || kind == 'P' || kind == 'X' || kind == '^' || kind == '_') {
        const std::size_t body = at + 1;
        for (std::size_t end = body; may_end && end < line.size(); ++end) {
            if (line[end] == kBell) return {end + 1, true};
            if (line[end] == kEscape && end + 1 < line.size() && line[end + 1] == '\\')
                return {end + 2, true};
        }
        return {body, false};
    }
    while (at < line.size() && is_in(line[at], 0x20, 0x2f)) ++at;
    return {at < line.size() && is_in(line[at], 0x30, 0x7e) ? at + 1 : at, may_end};
}

/// XML 1.0, 5th edition, 2.2 "Characters", without C1, whose CSI a terminal would obey, and without
/// characters that reverse the text's direction (Unicode 15.0, UAX #9, 2 "Directional Formatting
/// Characters"), as a forged name might.
bool is_showable(u32 value) {
    if (value < 0x20) return value == '\t';
    if ((value >= 0x202a && value <= 0x202e) || (value >= 0x2066 && value <= 0x2069)) return false;
    return !(value >= 0x7f && value <= 0x9f) && value != 0xfffe && value != 0xffff;
}

}  // namespace

Utf8Sequence first_utf8(std::string_view text) {
    const auto first = static_cast<u8>(text[0]);
    if (first < 0x80) return {1, first};
    if (first < 0xc2 || first > 0xf4) return {0, first};
    const std::size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (text.size() < length) return {0, first};
    u32 value = first & (0x7fU >> length);
    for (std::size_t i = 1; i < length; ++i) {
        if (!is_in(text[i], 0x80, 0xbf)) return {0, first};
        value = value << 6 | (static_cast<u8>(text[i]) & 0x3fU);
    }
    const bool is_overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
    const bool is_surrogate = value >= 0xd800 && value <= 0xdfff;
    return {is_overlong || is_surrogate || value > 0x10ffff ? 0 : length, value};
}

std::string_view EscapeFilter::apply(std::string_view line) {
    std::size_t escape = line.find(kEscape);
    if (escape == std::string_view::npos) return line;
    without_.clear();
    std::size_t at = 0;
    bool may_end = true;
    while (escape != std::string_view::npos) {
        without_.append(line.substr(at, escape - at));
        const EscapeEnd end = end_of_escape(line, escape, may_end);
        at = end.at;
        may_end = end.may_end;
        escape = line.find(kEscape, at);
    }
    without_.append(line.substr(at));
    return without_;
}

std::string visible(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const auto [length, value] = first_utf8(text);
        out.append(length != 0 && is_showable(value) ? text.substr(0, length) : kReplacement);
        text.remove_prefix(length != 0 ? length : 1);
    }
    return out;
}

std::string shown(std::string_view line) { return visible(EscapeFilter().apply(line)); }

std::string xml_escaped(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (const char byte : text) {
        switch (byte) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '"': out += "&quot;"; break;
            default: out += byte;
        }
    }
    return out;
}

}  // namespace mayfly
