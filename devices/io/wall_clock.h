// SPDX-License-Identifier: Apache-2.0
// WallClock: the time of day, injected so that a test can choose it.
#pragma once

#include "vmm/error/ints.h"

namespace mayfly {

/// Any thread.
class WallClock {
  public:
    WallClock() = default;
    WallClock(const WallClock&) = delete;
    WallClock& operator=(const WallClock&) = delete;
    virtual ~WallClock() = default;

    /// Seconds since 1970-01-01 00:00:00 UTC.
    [[nodiscard]] virtual i64 seconds_since_epoch() const = 0;
};

}  // namespace mayfly
