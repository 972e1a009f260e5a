// SPDX-License-Identifier: Apache-2.0
// SpinWindow: how long to poll for work before sleeping, adapted to how often polling paid.
//
// Longer while work comes soon, shorter when it does not. When work comes as soon as we sleep but never while
// we poll, we keep its producer from the processor: then we stop polling, and try again ever more rarely.
// Thread: one at a time.
#pragma once

#include <algorithm>

#include "vmm/error/ints.h"

namespace mayfly {

class SpinWindow {
  public:
    /// A shorter time would not cover a guest's reaction to an interrupt.
    static constexpr u64 kMinNs = 4'000;
    static constexpr u32 kMissesMax = 4;
    static constexpr u32 kHoldOffMin = 16;
    static constexpr u32 kHoldOffMax = 4096;

    /// 0: never poll.
    explicit SpinWindow(u64 max_ns) : max_ns_(max_ns), window_ns_(max_ns) {}

    [[nodiscard]] u64 ns() const { return sleeps_held_off_ != 0 ? 0 : window_ns_; }

    /// Work came while we polled.
    void hit() {
        misses_ = 0;
        hold_off_ = kHoldOffMin;
    }
    /// We polled for ns(), slept, and work came `idle_ns` after the beginning.
    void slept(u64 idle_ns) {
        // Waking takes about as long as the longest polling.
        const bool is_soon = idle_ns <= 2 * max_ns_;
        if (sleeps_held_off_ != 0) {
            --sleeps_held_off_;
        } else if (!is_soon) {
            window_ns_ /= 2;
            if (window_ns_ < kMinNs) window_ns_ = 0;
        } else {
            if (window_ns_ != 0 && ++misses_ >= kMissesMax) hold_off();
            window_ns_ = std::min(std::max(2 * window_ns_, kMinNs), max_ns_);
        }
    }

  private:
    void hold_off() {
        sleeps_held_off_ = hold_off_;
        hold_off_ = std::min(2 * hold_off_, kHoldOffMax);
        misses_ = kMissesMax - 1;  // after it, one try
    }

    u64 max_ns_;
    u64 window_ns_;
    u32 misses_ = 0;  ///< since the last hit, when work came soon
    u32 hold_off_ = kHoldOffMin;
    u32 sleeps_held_off_ = 0;
};

}  // namespace mayfly
