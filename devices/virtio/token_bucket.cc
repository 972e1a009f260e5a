// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/token_bucket.h"

#include <algorithm>
#include <limits>

namespace mayfly {

namespace {

constexpr u64 kDefaultBurstsPerSecond = 10;

u64 burst_of(RateLimit limit) {
    const u64 wanted =
        limit.burst != 0 ? limit.burst : std::max<u64>(limit.per_second / kDefaultBurstsPerSecond, 1);
    return std::min(wanted, TokenBucket::kTokensMax);
}

}  // namespace

TokenBucket::TokenBucket(RateLimit limit)
    : per_second_(std::min(limit.per_second, kTokensMax)),
      burst_(burst_of(limit)),
      level_(Level{burst_} * kBillion) {}

void TokenBucket::add_up(u64 now_ns) {
    if (now_ns <= last_ns_ || !is_limited()) return;
    // At most 2^64 * 2^56: no overflow.
    const Level gained = Level{now_ns - last_ns_} * per_second_;
    last_ns_ = now_ns;
    // A nanosecond's worth above the burst, so that the rounding of a deadline is not lost.
    level_ = std::min(level_ + gained, Level{burst_} * kBillion + per_second_ - 1);
}

std::optional<u64> TokenBucket::ready_at(u64 amount, u64 now_ns) {
    if (!is_limited()) return std::nullopt;
    add_up(now_ns);
    const Level needed = Level{std::min(amount, burst_)} * kBillion;
    if (level_ >= needed) return std::nullopt;
    const Level wait_ns = (needed - level_ + per_second_ - 1) / per_second_;
    // Counted from the last addition: a clock that stood still or went back must not move the deadline.
    const Level deadline = Level{last_ns_} + wait_ns;
    return static_cast<u64>(std::min(deadline, Level{std::numeric_limits<u64>::max()}));
}

std::optional<u64> TokenBucket::take(u64 amount, u64 now_ns) {
    const std::optional<u64> deadline = ready_at(amount, now_ns);
    if (!deadline) spend(amount, now_ns);
    return deadline;
}

void TokenBucket::spend(u64 amount, u64 now_ns) {
    if (!is_limited()) return;
    add_up(now_ns);
    // Saturates: a debt of more than this is never paid in a machine's life, and it must not wrap.
    const Level lowest = -(Level{1} << 120);
    level_ = std::max(level_ - Level{amount} * kBillion, lowest);
}

i64 TokenBucket::level(u64 now_ns) {
    add_up(now_ns);
    // A debt is rounded down, so that none of it is forgiven.
    const Level tokens = level_ >= 0 ? level_ / kBillion : -((-level_ + kBillion - 1) / kBillion);
    return static_cast<i64>(std::max(tokens, Level{std::numeric_limits<i64>::min()}));
}

void TokenBucket::set_level(i64 tokens, u64 now_ns) {
    level_ = Level{std::min(tokens, static_cast<i64>(burst_))} * kBillion;
    last_ns_ = now_ns;
}

std::optional<u64> take_from_both(TokenBucket& a, u64 amount_a, TokenBucket& b, u64 amount_b, u64 now_ns) {
    const std::optional<u64> ready_a = a.ready_at(amount_a, now_ns);
    const std::optional<u64> ready_b = b.ready_at(amount_b, now_ns);
    if (ready_a || ready_b) return std::max(ready_a.value_or(0), ready_b.value_or(0));
    a.spend(amount_a, now_ns);
    b.spend(amount_b, now_ns);
    return std::nullopt;
}

}  // namespace mayfly
