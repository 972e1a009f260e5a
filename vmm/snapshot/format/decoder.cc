// SPDX-License-Identifier: Apache-2.0
#include "vmm/snapshot/format/decoder.h"

#include <algorithm>

namespace mayfly {

std::span<const std::byte> Decoder::take(std::size_t count) {
    if (has_failed_ || count > bytes_.size() - at_) {
        has_failed_ = true;
        return {};
    }
    at_ += count;
    return bytes_.subspan(at_ - count, count);
}

u64 Decoder::get_word(std::size_t width_bytes) {
    u64 value = 0;
    const std::span<const std::byte> bytes = take(width_bytes);
    for (std::size_t i = 0; i < bytes.size(); ++i) value |= std::to_integer<u64>(bytes[i]) << 8 * i;
    return value;
}

u64 Decoder::get_word_up_to(u64 max, std::size_t width_bytes) {
    const u64 value = get_word(width_bytes);
    if (value <= max) return value;
    has_failed_ = true;
    return 0;
}

std::size_t Decoder::get_bulk_size() {
    const u64 size = get_word(sizeof(u32));
    if (coded::map_bytes_of(size) <= bytes_.size() - at_) return size;
    has_failed_ = true;
    return 0;
}

void Decoder::get_bulk(std::span<std::byte> out) {
    const std::span<const std::byte> map = take(coded::map_bytes_of(out.size()));
    std::fill(out.begin(), out.end(), std::byte{0});
    if (has_failed_) return;
    for (std::size_t piece = 0; piece < map.size() * 8; ++piece) {
        if ((map[piece / 8] >> piece % 8 & std::byte{1}) == std::byte{0}) continue;
        if (piece >= coded::pieces_of(out.size())) return fail();
        const std::size_t at = piece * coded::kPieceBytes;
        const auto content = take(std::min(coded::kPieceBytes, out.size() - at));
        std::copy(content.begin(), content.end(), out.begin() + static_cast<std::ptrdiff_t>(at));
    }
}

}  // namespace mayfly
