// SPDX-License-Identifier: Apache-2.0
// Operation: one request to the kernel, owned by its caller.
//
// The loop links it while it is pending and allocates nothing; so it must stay where it is until its last
// completion. Destroying a pending operation is our bug. Thread: the loop's only.
#pragma once

#include "vmm/error/ints.h"
#include "vmm/error/verify.h"

namespace mayfly {

class Loop;

class Operation {
  public:
    Operation() = default;
    Operation(const Operation&) = delete;
    Operation& operator=(const Operation&) = delete;
    // no guest: owners live as long as the loop: a machine's until the process ends.
    virtual ~Operation() { VERIFY(!is_pending()); }

    /// `result` is what the system call would return, or -errno. A poll's result is its events. Without
    /// `has_more` it was the last completion: the operation may be started again or destroyed at once.
    virtual void on_complete(i32 result, bool has_more) = 0;

    [[nodiscard]] bool is_pending() const { return state_ != State::Idle; }

  private:
    friend class Loop;
    friend class PendingList;
    enum class State : u8 { Idle, Pending, Cancelled };

    Operation* previous_ = nullptr;
    Operation* next_ = nullptr;
    State state_ = State::Idle;
    bool is_poll_ = false;  ///< armed again when the kernel ends it
    u32 file_ = 0;          ///< of a poll
    u32 events_ = 0;
};

}  // namespace mayfly
