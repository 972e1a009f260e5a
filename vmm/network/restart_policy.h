// SPDX-License-Identifier: Apache-2.0
// RestartPolicy: when to restart a helper process that ended, so that a failing one does not keep a processor
// busy. A value without a clock; times are nanoseconds. Thread: its owner's.
#pragma once

#include <array>
#include <cstddef>
#include <optional>

#include "vmm/error/ints.h"

namespace mayfly {

class RestartPolicy {
  public:
    static constexpr std::size_t kRestartsMax = 5;
    static constexpr u64 kWindowNs = 60'000'000'000;
    /// Long enough for guests to notice a link that was down, short enough not to be noticed by people.
    static constexpr u64 kFirstDelayNs = 100'000'000;

    /// How long to wait before a restart: twice as long for each process that ended within the window. Empty:
    /// too many ended, and no more are started.
    [[nodiscard]] std::optional<u64> delay_after_end(u64 now_ns);

  private:
    std::array<u64, kRestartsMax> ends_ns_{};  ///< oldest first
    std::size_t count_ = 0;
};

}  // namespace mayfly
