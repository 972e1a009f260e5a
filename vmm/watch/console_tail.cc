// SPDX-License-Identifier: Apache-2.0
#include "vmm/watch/console_tail.h"

#include <algorithm>
#include <cstring>

#include "vmm/watch/line_splitter.h"
#include "vmm/watch/plain_text.h"

namespace mayfly {

void ConsoleTail::take(std::string_view bytes) {
    if (bytes.size() > kBytes) {
        taken_ += bytes.size() - kBytes;
        bytes.remove_prefix(bytes.size() - kBytes);
    }
    const std::size_t at = taken_ % kBytes;
    const std::size_t first = std::min(bytes.size(), kBytes - at);
    std::memcpy(ring_.data() + at, bytes.data(), first);
    std::memcpy(ring_.data(), bytes.data() + first, bytes.size() - first);
    taken_ += bytes.size();
}

std::vector<std::string> ConsoleTail::lines(std::size_t lines_max) const {
    std::string bytes;
    const std::size_t at = taken_ % kBytes;
    if (taken_ > kBytes) bytes.assign(ring_.data() + at, kBytes - at);
    bytes.append(ring_.data(), taken_ == kBytes ? kBytes : at);

    std::vector<std::string> lines;
    const auto keep = [&](const LineSplitter::Piece& piece) {
        if (piece.is_start) {
            lines.push_back(shown(piece.text));
        } else {
            lines.back() += shown(piece.text);
        }
    };
    LineSplitter splitter;
    splitter.take(bytes, keep);
    splitter.finish(keep);
    if (lines.size() > lines_max)
        lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(lines_max));
    return lines;
}

}  // namespace mayfly
