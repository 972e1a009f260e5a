// SPDX-License-Identifier: Apache-2.0
#include "vmm/loop/queues.h"

#include <utility>

namespace mayfly {

void PendingList::add(Operation& operation) {
    operation.previous_ = nullptr;
    operation.next_ = first_;
    if (first_ != nullptr) first_->previous_ = &operation;
    first_ = &operation;
    operation.state_ = Operation::State::Pending;
}

void PendingList::remove(Operation& operation) {
    if (operation.previous_ != nullptr)
        operation.previous_->next_ = operation.next_;
    else
        first_ = operation.next_;
    if (operation.next_ != nullptr) operation.next_->previous_ = operation.previous_;
    operation.state_ = Operation::State::Idle;
}

void TaskQueue::push(Task& task) {
    task.*link_ = nullptr;
    if (last_ != nullptr)
        last_->*link_ = &task;
    else
        first_ = &task;
    last_ = &task;
}

Task* TaskQueue::pop() {
    if (first_ == nullptr) return nullptr;
    Task* task = std::exchange(first_, first_->*link_);
    if (first_ == nullptr) last_ = nullptr;
    return task;
}

void TimerList::set(Timer& timer, u64 deadline_ns) {
    clear(timer);
    Timer* previous = nullptr;
    Timer* next = first_;
    while (next != nullptr && next->deadline_ns_ <= deadline_ns) previous = std::exchange(next, next->next_);
    timer.previous_ = previous;
    timer.next_ = next;
    timer.deadline_ns_ = deadline_ns;
    timer.is_set_ = true;
    (previous != nullptr ? previous->next_ : first_) = &timer;
    if (next != nullptr) next->previous_ = &timer;
}

void TimerList::clear(Timer& timer) {
    if (!timer.is_set_) return;
    (timer.previous_ != nullptr ? timer.previous_->next_ : first_) = timer.next_;
    if (timer.next_ != nullptr) timer.next_->previous_ = timer.previous_;
    timer.is_set_ = false;
}

}  // namespace mayfly
