// SPDX-License-Identifier: Apache-2.0
#include "vmm/storage/written_sectors.h"

#include <algorithm>
#include <bit>
#include <utility>

#include <sys/mman.h>

namespace mayfly {

namespace {

/// Calls `change(word, mask)` for each word that the range touches.
template <typename Change>
void for_each_word(std::span<u64> words, u64 first, u64 count, Change change) {
    constexpr u64 kBits = 64;
    while (count > 0) {
        const u64 shift = first % kBits;
        const u64 bits = std::min(kBits - shift, count);
        change(words[first / kBits], (~u64{0} >> (kBits - bits)) << shift);
        first += bits;
        count -= bits;
    }
}

}  // namespace

Result<WrittenSectors> WrittenSectors::create(u64 sector_count) {
    Mapping memory = TRY(Mapping::anonymous((sector_count / kWordBits + 1) * sizeof(u64)));
    // A bit must cost a page, not 2 MiB. A kernel without huge pages refuses the advice and does so anyway.
    (void)::madvise(memory.data(), memory.size_bytes(), MADV_NOHUGEPAGE);
    return WrittenSectors(std::move(memory));
}

WrittenSectors::WrittenSectors(Mapping memory) : memory_(std::move(memory)) {
    // SAFETY: page-aligned memory of our own, whose size is a multiple of a word's.
    words_ = {reinterpret_cast<u64*>(memory_.data()), memory_.size_bytes() / sizeof(u64)};
}

void WrittenSectors::set(u64 first, u64 count) {
    for_each_word(words_, first, count, [](u64& word, u64 mask) { word |= mask; });
}

void WrittenSectors::clear(u64 first, u64 count) {
    // A page of nothing but zeroes takes no memory as long as it is only read.
    for_each_word(words_, first, count, [](u64& word, u64 mask) {
        if ((word & mask) != 0) word &= ~mask;
    });
}

u64 WrittenSectors::run_length(u64 first, u64 count_max) const {
    const bool is_written = has(first);
    u64 count = 0;
    while (count < count_max) {
        const u64 at = first + count;
        const u64 shift = at % kWordBits;
        const u64 others = (is_written ? ~word(at) : word(at)) >> shift;
        const u64 same = std::min<u64>(static_cast<u64>(std::countr_zero(others)), kWordBits - shift);
        count += same;
        if (same < kWordBits - shift) break;
    }
    return std::min(count, count_max);
}

}  // namespace mayfly
