// SPDX-License-Identifier: Apache-2.0
// MemoryMap: which guest-physical ranges are RAM and which are reserved, in the e820 types that every
// protocol shares (ACPI 6.5 §15 "System Address Map Interfaces").
#pragma once

#include <array>
#include <span>

#include "vmm/error/ints.h"
#include "vmm/memory/gpa.h"

namespace mayfly {

enum class MemoryType : u32 { Ram = 1, Reserved = 2 };

struct MemoryRange {
    Gpa base;
    u64 size_bytes = 0;
    MemoryType type = MemoryType::Ram;
};

/// Sorted, without overlap, at most kRangesMax ranges.
class MemoryMap {
  public:
    static constexpr std::size_t kRangesMax = 8;

    /// `ram_bytes` as given to GuestRam with layout::kHole.
    static MemoryMap for_ram(u64 ram_bytes);

    [[nodiscard]] std::span<const MemoryRange> ranges() const { return {ranges_.data(), count_}; }
    /// One past the last RAM byte below the hole.
    [[nodiscard]] Gpa low_ram_end() const { return low_ram_end_; }

  private:
    void add(MemoryRange range);

    std::array<MemoryRange, kRangesMax> ranges_{};
    std::size_t count_ = 0;
    Gpa low_ram_end_;
};

}  // namespace mayfly
