// SPDX-License-Identifier: Apache-2.0
// WrittenSectors: which sectors of a disk were written: a bit for each, in memory that is allocated when a
// bit is set.
//
// Thread: one at a time.
#pragma once

#include <span>

#include "vmm/error/ints.h"
#include "vmm/error/result.h"
#include "vmm/os/mapping.h"

namespace mayfly {

class WrittenSectors {
  public:
    static constexpr u64 kSectorBytes = 512;

    /// Errors: Os, where the address space is too small for so many.
    static Result<WrittenSectors> create(u64 sector_count);

    // Ranges lie on the disk.
    void set(u64 first, u64 count);
    void clear(u64 first, u64 count);
    [[nodiscard]] bool has(u64 sector) const { return (word(sector) >> (sector % kWordBits) & 1) != 0; }
    /// How many sectors from `first` on are in the same state; at most `count_max`.
    [[nodiscard]] u64 run_length(u64 first, u64 count_max) const;

  private:
    static constexpr u64 kWordBits = 64;

    explicit WrittenSectors(Mapping memory);

    [[nodiscard]] u64 word(u64 sector) const { return words_[sector / kWordBits]; }

    Mapping memory_;
    std::span<u64> words_;
};

}  // namespace mayfly
