// SPDX-License-Identifier: Apache-2.0
#include "vmm/snapshot/format/encoder.h"

#include <algorithm>

namespace mayfly {

void Encoder::put_word(u64 value, std::size_t width_bytes) {
    for (std::size_t i = 0; i < width_bytes; ++i) bytes_.push_back(static_cast<std::byte>(value >> 8 * i));
}

void Encoder::put_bulk(std::span<const std::byte> bytes) {
    const std::size_t map_at = bytes_.size();
    bytes_.resize(map_at + coded::map_bytes_of(bytes.size()));
    for (std::size_t piece = 0; piece < coded::pieces_of(bytes.size()); ++piece) {
        const std::size_t at = piece * coded::kPieceBytes;
        const auto content = bytes.subspan(at, std::min(coded::kPieceBytes, bytes.size() - at));
        if (std::all_of(content.begin(), content.end(), [](std::byte b) { return b == std::byte{0}; }))
            continue;
        bytes_[map_at + piece / 8] |= std::byte{1} << piece % 8;
        bytes_.insert(bytes_.end(), content.begin(), content.end());
    }
}

}  // namespace mayfly
