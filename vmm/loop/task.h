// SPDX-License-Identifier: Apache-2.0
// Task: work that the loop's thread does once per request.
//
// Owned by its user; it stays where it is while it is queued, at the longest until the loop is destroyed.
// Thread: Loop::post() from any; everything else on the loop's.
#pragma once

#include <atomic>

#include "vmm/error/verify.h"

namespace mayfly {

class Loop;

class Task {
  public:
    Task() = default;
    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;
    // no guest: owners live as long as the loop: a machine's until the process ends.
    virtual ~Task() { VERIFY(!is_queued()); }

    /// May queue itself again.
    virtual void run() = 0;

    /// True from a request until the run that answers it begins.
    [[nodiscard]] bool is_queued() const {
        return is_queued_.load(std::memory_order_acquire) || is_at_turn_end_;
    }

  private:
    friend class Loop;
    friend class TaskQueue;

    std::atomic<bool> is_queued_ = false;  ///< by post() or run_soon()
    bool is_at_turn_end_ = false;          ///< by at_turn_end(); independent of the other
    Task* next_ = nullptr;
    Task* next_at_turn_end_ = nullptr;
};

}  // namespace mayfly
