// SPDX-License-Identifier: Apache-2.0
// Occupancy: which guest-physical ranges are taken while a guest is loaded. Keeps a kernel, its modules and
// our tables from overlapping, and finds a place for an initrd.
//
// Thread: one thread, before any vCPU runs.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/error/result.h"
#include "vmm/memory/guest_memory.h"

namespace mayfly {

/// "0x100000-0x1fffff": both ends inclusive. `size_bytes` is at least 1.
[[nodiscard]] std::string print_range(Gpa base, u64 size_bytes);

class Occupancy {
  public:
    static constexpr std::size_t kClaimsUsual = 8;

    /// Tables that kernels search at fixed places of low memory are claimed from the start.
    explicit Occupancy(const GuestMemory& memory) : memory_(memory) { claims_.reserve(kClaimsUsual); }

    /// Claims a range. Errors: Invalid when it wraps around, is not all RAM, or overlaps an earlier claim;
    /// the text names both ranges. An empty range takes nothing.
    Result<void> claim(Gpa base, u64 size_bytes, std::string_view what);

    /// A place for one of our structures: `wish` where that is free, else the lowest free pages below the
    /// extended BIOS data area, else the highest below 3 GiB; taken from then on. Errors: Invalid, where no
    /// such place is free.
    Result<Gpa> place(Gpa wish, u64 size_bytes, std::string_view what);

    /// The highest free page-aligned place above 1 MiB that ends at or below `end`.
    [[nodiscard]] std::optional<Gpa> find_below(Gpa end, u64 size_bytes) const;

    /// The lowest free place, a multiple of `alignment_bytes`, at or above `start` that ends at or below
    /// `end`.
    [[nodiscard]] std::optional<Gpa> find_above(Gpa start, Gpa end, u64 size_bytes,
                                                u64 alignment_bytes) const;

    /// One past the highest claimed byte below `end`; 1 MiB when nothing was claimed above that.
    [[nodiscard]] Gpa claimed_end(Gpa end) const;

  private:
    struct Claim {
        Gpa base;
        u64 size_bytes;
        std::string what;
    };
    /// The first claim that a range touches, or null. An empty one touches none.
    [[nodiscard]] const Claim* find_claim(Gpa base, u64 size_bytes) const;

    const GuestMemory& memory_;
    std::vector<Claim> claims_;
};

}  // namespace mayfly
