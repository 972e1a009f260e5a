// SPDX-License-Identifier: Apache-2.0
// Timer: a call at a time of the monotonic clock. One shot; on_time() may set it again.
//
// Owned by its user, linked by the loop while it is set. Thread: the loop's only.
#pragma once

#include "vmm/error/ints.h"
#include "vmm/error/verify.h"

namespace mayfly {

class Timer {
  public:
    Timer() = default;
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    // no guest: owners live as long as the loop: a machine's until the process ends.
    virtual ~Timer() { VERIFY(!is_set_); }

    virtual void on_time() = 0;

    [[nodiscard]] bool is_set() const { return is_set_; }
    /// Meaningful while it is set.
    [[nodiscard]] u64 deadline_ns() const { return deadline_ns_; }

  private:
    friend class TimerList;

    Timer* previous_ = nullptr;
    Timer* next_ = nullptr;
    u64 deadline_ns_ = 0;
    bool is_set_ = false;
};

}  // namespace mayfly
