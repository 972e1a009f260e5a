// SPDX-License-Identifier: Apache-2.0
#include "vmm/text/layout.h"

#include <algorithm>

namespace mayfly {

namespace {

constexpr std::size_t kNarrowColumns = 60;  // with fewer, descriptions stand below what they describe
constexpr std::size_t kNarrowIndent = 6;
constexpr std::string_view kOptionalKey = "[,";  // a line may be broken before it
constexpr std::string_view kInnerEnds = "|:,=";  // and behind these, in a word that is longer than a line

void break_line(std::string& out, std::size_t indent) {
    out += '\n';
    out.append(indent, ' ');
}

/// The next word, or as much of it as may stand on one line of `room` columns.
std::string_view next_piece(std::string_view text, std::size_t room) {
    std::string_view piece = text.substr(0, std::min(text.find_first_of(" \n"), text.find(kOptionalKey, 1)));
    if (text_width(piece) <= room) return piece;
    const std::size_t cut = piece.substr(0, room).find_last_of(kInnerEnds);
    return cut == std::string_view::npos ? piece : piece.substr(0, cut + 1);
}

}  // namespace

std::size_t text_width(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(
        text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string wrap_text(std::string_view text, std::size_t columns, std::size_t indent, std::size_t start) {
    std::string out;
    std::size_t used = start;
    std::size_t gap = 0;  // spaces before the next word
    bool is_first = true;
    while (!text.empty()) {
        if (text.front() == '\n') {
            break_line(out, text.size() > 1 && text[1] != '\n' ? indent : 0);
            used = indent;
            gap = 0;
            is_first = true;
            text.remove_prefix(1);
        } else if (text.front() == ' ') {
            ++gap;
            text.remove_prefix(1);
        } else {
            const std::string_view word = next_piece(text, columns - std::min(columns, indent));
            const std::size_t width = text_width(word);
            if (!is_first && used + gap + width > columns) {
                break_line(out, indent);
                used = indent;
                gap = 0;
            }
            out.append(gap, ' ').append(word);
            used += gap + width;
            gap = 0;
            is_first = false;
            text.remove_prefix(word.size());
        }
    }
    return out;
}

std::string describe(std::string_view name, std::string_view description, std::size_t column,
                     std::size_t columns) {
    const bool is_narrow = columns < kNarrowColumns;
    const std::size_t indent = is_narrow ? std::min(kNarrowIndent, column) : column;
    const std::size_t width = text_width(name);
    std::string out(name);
    if (is_narrow || width + 2 > column)
        break_line(out, indent);
    else
        out.append(column - width, ' ');
    return out + wrap_text(description, columns, indent, indent) + '\n';
}

std::string item_lines(std::span<const std::string> items, std::size_t columns, std::size_t indent) {
    std::string out;
    std::size_t used = 0;
    for (const std::string& item : items) {
        const std::size_t width = text_width(item);
        if (out.empty()) {
            out.append(indent, ' ');
            used = indent;
        } else if (used + 2 + width <= columns) {
            out += "  ";
            used += 2;
        } else {
            break_line(out, indent);
            used = indent;
        }
        out += item;
        used += width;
    }
    return out.empty() ? out : out + '\n';
}

std::string figure_row(std::string_view left, std::string_view right, std::size_t width,
                       std::size_t columns) {
    width = std::min(width, columns);
    const std::size_t taken = text_width(left) + text_width(right);
    std::string out(left);
    if (text_width(left) > columns) out = wrap_text(left, columns, kNarrowIndent);
    if (taken < width)
        out.append(width - taken, ' ');
    else if (taken < columns)
        out += ' ';
    else
        break_line(out, width - std::min(width, text_width(right)));
    return out.append(right) + '\n';
}

}  // namespace mayfly
