// SPDX-License-Identifier: Apache-2.0
// Fuzzes the processing of a guest's console bytes: lines, the tail, and texts that are fit to be shown.
//
// The input is a byte, the number of bytes that come at a time, then the console's bytes. Lines may not
// depend on the portions, and no text for a terminal or an XML file may hold its control sequences or markup.
#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/error/ints.h"
#include "vmm/watch/console_tail.h"
#include "vmm/watch/line_splitter.h"
#include "vmm/watch/plain_text.h"

namespace {

using namespace mayfly;

void require(bool is_true) {
    if (!is_true) std::abort();
}

/// The bytes' lines, put together again from their pieces.
std::vector<std::string> lines_of(std::string_view bytes, std::size_t portion_bytes) {
    std::vector<std::string> lines;
    bool is_inside = false;
    const auto keep = [&](const LineSplitter::Piece& piece) {
        require(piece.text.size() <= LineSplitter::kPieceMax);
        require(piece.is_start != is_inside);
        if (piece.is_start) lines.emplace_back();
        lines.back() += piece.text;
        is_inside = !piece.is_end;
    };
    LineSplitter splitter;
    while (!bytes.empty()) {
        splitter.take(bytes.substr(0, portion_bytes), keep);
        require(splitter.unfinished().text.size() <= LineSplitter::kPieceMax);
        bytes.remove_prefix(std::min(portion_bytes, bytes.size()));
    }
    splitter.finish(keep);
    require(!is_inside);
    return lines;
}

void require_harmless(std::string_view text) {
    for (const char byte : text) require(static_cast<u8>(byte) >= 0x20 ? byte != 0x7f : byte == '\t');
    require(shown(text) == text);  // a second pass removes nothing more
    require(xml_escaped(text).find_first_of("<>\"") == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    const std::size_t portion_bytes = data[0] + std::size_t{1};
    const std::vector<std::string> lines = lines_of(bytes, portion_bytes);
    require(lines == lines_of(bytes, bytes.size() + 1));
    for (const std::string& line : lines) {
        require(line.find_first_of("\r\n") == std::string::npos);
        require_harmless(shown(line));
    }

    ConsoleTail tail;
    for (std::string_view rest = bytes; !rest.empty();) {
        tail.take(rest.substr(0, portion_bytes));
        rest.remove_prefix(std::min(portion_bytes, rest.size()));
    }
    constexpr std::size_t kLinesMax = 20;
    const std::vector<std::string> last = tail.lines(kLinesMax);
    require(last.size() <= kLinesMax && last.size() <= lines.size());
    // All but the first, whose beginning may be gone, are the console's last ones. A long line comes in
    // pieces, each shown by itself, and then may differ.
    for (std::size_t i = 1; i < last.size(); ++i) {
        require_harmless(last[i]);
        const std::string& line = lines[lines.size() - last.size() + i];
        if (line.size() <= LineSplitter::kPieceMax) require(last[i] == shown(line));
    }
    return 0;
}
