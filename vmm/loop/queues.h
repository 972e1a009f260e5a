// SPDX-License-Identifier: Apache-2.0
// The loop's intrusive lists: pending operations, queued tasks, timers by deadline. No allocation.
// Thread: the loop's only.
#pragma once

#include "vmm/error/ints.h"
#include "vmm/loop/operation.h"
#include "vmm/loop/task.h"
#include "vmm/loop/timer.h"

namespace mayfly {

/// Operations in flight, in no order.
class PendingList {
  public:
    void add(Operation& operation);
    void remove(Operation& operation);
    [[nodiscard]] Operation* first() const { return first_; }
    [[nodiscard]] static Operation* next(const Operation& operation) { return operation.next_; }

  private:
    Operation* first_ = nullptr;
};

/// First in, first out, through one of the two links that a task has.
class TaskQueue {
  public:
    explicit TaskQueue(Task* Task::*link) : link_(link) {}
    void push(Task& task);
    /// Null when empty.
    Task* pop();
    [[nodiscard]] const Task* first() const { return first_; }
    [[nodiscard]] const Task* last() const { return last_; }

    static Task* Task::*soon_link() { return &Task::next_; }
    static Task* Task::*turn_end_link() { return &Task::next_at_turn_end_; }

  private:
    Task* Task::*link_;
    Task* first_ = nullptr;
    Task* last_ = nullptr;
};

/// Sorted by deadline; of equal ones the first set comes first. Linear to set: there are a few per device.
class TimerList {
  public:
    void set(Timer& timer, u64 deadline_ns);
    void clear(Timer& timer);
    [[nodiscard]] Timer* first() const { return first_; }

  private:
    Timer* first_ = nullptr;
};

}  // namespace mayfly
