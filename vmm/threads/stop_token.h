// SPDX-License-Identifier: Apache-2.0
// StopToken: whether the current work should be given up, because of a time limit or a signal.
//
// Work over files of any size checks it between pieces of some milliseconds each, and returns the error. A
// value, free to copy; a signal handler may set the flag. Thread: any.
#pragma once

#include <atomic>

#include "vmm/error/result.h"

namespace mayfly {

class StopToken {
  public:
    /// Never requests a stop.
    StopToken() = default;
    /// Once `is_wanted` is true. It outlives all copies.
    explicit StopToken(const std::atomic<bool>& is_wanted) : is_wanted_(&is_wanted) {}

    [[nodiscard]] bool is_requested() const {
        return is_wanted_ != nullptr && is_wanted_->load(std::memory_order_acquire);
    }
    /// Errors: Stopped, when it is requested.
    [[nodiscard]] Result<void> check() const {
        if (is_requested()) return fail(Error::stopped());
        return {};
    }

  private:
    const std::atomic<bool>* is_wanted_ = nullptr;
};

}  // namespace mayfly
