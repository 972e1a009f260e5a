// SPDX-License-Identifier: Apache-2.0
// Pseudo-random numbers that repeat with their seed.
#pragma once

#include "firmware/guests/runtime/cpu.h"

namespace guest {

/// A linear congruential generator with the multiplier of Knuth's MMIX.
class Random final {
  public:
    explicit constexpr Random(u64 seed) : state_(seed) {}
    u32 next() {
        state_ = state_ * 6364136223846793005 + 1442695040888963407;
        return static_cast<u32>(state_ >> 32);
    }
    /// `limit` is not 0.
    u32 below(u32 limit) { return next() % limit; }
    u64 next64() { return u64{next()} << 32 | next(); }
    bool one_in(u32 chances) { return below(chances) == 0; }

  private:
    u64 state_;
};

}  // namespace guest
