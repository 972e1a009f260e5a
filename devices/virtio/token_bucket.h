// SPDX-License-Identifier: Apache-2.0
// TokenBucket: a rate with a burst, which limits a guest's use of a device per second.
//
// Time is given by the caller, so nothing here reads a clock. The level is kept in billionths of a token:
// a nanosecond then adds a whole number, and no rate drifts. A reset of the device does not refill the
// bucket, else a guest would reset in order to take more. Thread: under its device's lock.
#pragma once

#include <optional>

#include "vmm/error/ints.h"

namespace mayfly {

struct RateLimit {
    u64 per_second = 0;  ///< 0: no limit
    u64 burst = 0;       ///< what may be taken at once after a pause; 0: a tenth of a second's worth
};

/// For operations that cost the host milliseconds and that no driver does often: a network's commands and
/// restarts, doorbells moved, interrupts given other messages.
constexpr RateLimit kSlowWorkLimit{.per_second = 20, .burst = 64};

class TokenBucket {
  public:
    /// Larger rates and bursts mean this.
    static constexpr u64 kTokensMax = u64{1} << 56;

    /// Begins full. An unlimited one grants everything.
    explicit TokenBucket(RateLimit limit = {});

    [[nodiscard]] bool is_limited() const { return per_second_ != 0; }
    [[nodiscard]] u64 burst() const { return burst_; }

    /// Takes `amount`; \returns nothing when granted, else the time at which to try again. More than the
    /// burst is granted by a full bucket, which then owes the rest: no request is too large to be served.
    [[nodiscard]] std::optional<u64> take(u64 amount, u64 now_ns);
    /// The same, but takes nothing.
    [[nodiscard]] std::optional<u64> ready_at(u64 amount, u64 now_ns);
    /// Takes what was already used, even into debt.
    void spend(u64 amount, u64 now_ns);

    /// The level, rounded down; below 0: debt.
    [[nodiscard]] i64 level(u64 now_ns);
    /// Sets the level, at most to the burst.
    void set_level(i64 tokens, u64 now_ns);

  private:
    __extension__ using Level = __int128;  ///< billionths of a token; below 0: debt
    static constexpr u64 kBillion = 1'000'000'000;

    void add_up(u64 now_ns);

    u64 per_second_;
    u64 burst_;
    Level level_;
    u64 last_ns_ = 0;
};

/// Takes from both or from neither. \returns nothing when granted, else when to try again.
[[nodiscard]] std::optional<u64> take_from_both(TokenBucket& a, u64 amount_a, TokenBucket& b, u64 amount_b,
                                                u64 now_ns);

}  // namespace mayfly
