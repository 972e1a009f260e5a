// SPDX-License-Identifier: Apache-2.0
// The loop's turns: the work of a turn, and the wait for the next.
#include <algorithm>
#include <bit>
#include <utility>

#include "vmm/error/verify.h"
#include "vmm/loop/loop.h"
#include "vmm/loop/ring.h"
#include "vmm/loop/wake_up.h"
#include "vmm/os/clock.h"
#include "vmm/threads/processors.h"

namespace mayfly {

namespace {

/// The value written to an eventfd. The kernel may read it at any time.
constexpr u64 kOne = 1;

// SAFETY: to_user_data() of loop.cc made it from such a pointer; the operation is pending, so it lives.
Operation& from_user_data(u64 user_data) { return *std::bit_cast<Operation*>(user_data); }

}  // namespace

void Loop::run(Poller& poller) {
    // no guest: IoThread::start() runs each loop once.
    VERIFY(life_ == Life::New);
    life_ = Life::Running;
    ring_->take_over();
    if (has_one_processor()) spin_ = SpinWindow(0);
    while (!is_stopping()) {
        const bool has_work = run_turn(&poller) || is_work_visible();
        if (!has_work)
            wait_for_work(poller);
        else if (ring_->unsubmitted_count() != 0 || ring_->wants_enter())
            enter(0, std::nullopt);
    }
    drain();
    ring_->leave();
    life_ = Life::Ended;
}

/// Everything once, each bounded. \returns true when there is more to do at once.
bool Loop::run_turn(Poller* poller) {
    ++counts_.turns;
    now_ns_ = monotonic_ns();
    reap();
    run_timers();
    run_tasks();
    const bool polled = poller != nullptr && poller->poll();
    run_turn_end();
    send_signals();
    return polled || has_queued_work();
}

void Loop::reap() {
    for (u32 n = 0; n < kCompletionsPerTurn; ++n) {
        const auto completion = ring_->pop_completion();
        if (!completion) return;
        ++counts_.completions;
        // Signals and cancellations lack an operation: nothing waits for them.
        if (completion->user_data == 0) continue;
        complete(from_user_data(completion->user_data), completion->result,
                 (completion->flags & IORING_CQE_F_MORE) != 0);
    }
}

void Loop::complete(Operation& operation, i32 result, bool has_more) {
    if (!has_more) {
        const bool is_over = !operation.is_poll_ || result < 0 ||
                             operation.state_ == Operation::State::Cancelled || is_draining_;
        pending_.remove(operation);
        // The kernel may end a multishot poll at any time, for example when completions overflowed. Arming it
        // checks the file again, so no event is missed.
        if (!is_over) poll_multishot(operation.file_, operation.events_, operation);
        has_more = !is_over;
    }
    operation.on_complete(result, has_more);
}

void Loop::run_timers() {
    while (Timer* timer = timers_.first()) {
        if (timer->deadline_ns() > now_ns_) return;
        timers_.clear(*timer);
        timer->on_time();
    }
}

void Loop::take_posted() {
    // Newest first; reversed, so that the task posted first runs first.
    Task* newest = posted_.exchange(nullptr, std::memory_order_seq_cst);
    Task* oldest = nullptr;
    while (newest != nullptr) {
        Task* older = newest->next_;
        newest->next_ = oldest;
        oldest = std::exchange(newest, older);
    }
    while (oldest != nullptr) ready_.push(*std::exchange(oldest, oldest->next_));
}

void Loop::run_tasks() {
    if (posted_.load(std::memory_order_relaxed) != nullptr) take_posted();
    const Task* const last = ready_.last();  // tasks queued from here on run in the next turn
    while (Task* task = ready_.pop()) {
        const bool is_last = task == last;
        // Pairs with the exchange in post().
        task->is_queued_.exchange(false, std::memory_order_acq_rel);
        task->run();
        if (is_last) return;
    }
}

void Loop::run_turn_end() {
    const Task* const last = turn_end_.last();
    while (Task* task = turn_end_.pop()) {
        const bool is_last = task == last;
        task->is_at_turn_end_ = false;
        task->run();
        if (is_last) return;
    }
}

void Loop::send_signals() {
    const u32 count = std::exchange(signal_count_, 0);
    if (count == 1) {
        signals_[0]->signal();
        ++counts_.signals_written;
        return;
    }
    for (u32 i = 0; i < count; ++i) {
        io_uring_sqe& entry = next_entry();
        ::io_uring_prep_write(&entry, signals_[i]->fd().get(), &kOne, sizeof kOne, 0);
        entry.flags |= ring_->skip_success_flag();
        ++counts_.signals_by_ring;
    }
}

bool Loop::has_queued_work() const {
    return ready_.first() != nullptr || turn_end_.first() != nullptr || signal_count_ != 0;
}

/// Whether a turn is needed, as far as it shows without a system call.
bool Loop::is_work_visible() const {
    return ring_->has_completion() || ring_->wants_enter() ||
           posted_.load(std::memory_order_relaxed) != nullptr || is_stopping();
}

void Loop::enter(u32 completions_min, std::optional<u64> timeout_ns) {
    ++counts_.enters;
    counts_.submitted += ring_->enter(completions_min, timeout_ns);
}

void Loop::wait_for_work(Poller& poller) {
    const u64 idle_since_ns = monotonic_ns();
    if (spin_.ns() != 0) {
        if (ring_->unsubmitted_count() != 0) {
            enter(0, std::nullopt);
            if (is_work_visible()) return;  // completions that the kernel had ready
        }
        if (spin(poller, idle_since_ns)) {
            ++counts_.polls_hit;
            spin_.hit();
            if (ring_->wants_enter()) enter(0, std::nullopt);  // completions that the next turn can reap
            return;
        }
        ++counts_.polls_missed;
    }
    if (sleep(poller)) spin_.slept(monotonic_ns() - idle_since_ns);
}

/// Polls until work comes, or the time for polling is over: false.
bool Loop::spin(Poller& poller, u64 begin_ns) {
    const u64 end_ns = begin_ns + spin_.ns();
    for (;;) {
        if (poller.poll() || has_queued_work() || is_work_visible()) return true;
        now_ns_ = monotonic_ns();
        if (timers_.first() != nullptr && timers_.first()->deadline_ns() <= now_ns_) return true;
        if (now_ns_ >= end_ns) return false;
        __builtin_ia32_pause();
    }
}

/// \returns false when work came after all.
bool Loop::sleep(Poller& poller) {
    if (!poller.prepare_to_sleep()) return false;
    is_asleep_.store(true, std::memory_order_seq_cst);
    // Sequentially consistent, as in post(): either we see the task, or its poster sees that we sleep.
    const bool may_wait = posted_.load(std::memory_order_seq_cst) == nullptr &&
                          !is_stopping_.load(std::memory_order_seq_cst) && !has_queued_work();
    std::optional<u64> timeout_ns;
    if (const Timer* timer = timers_.first()) {
        const u64 now_ns = monotonic_ns();
        timeout_ns = timer->deadline_ns() - std::min(timer->deadline_ns(), now_ns);
    }
    if (may_wait) ++counts_.sleeps;
    enter(may_wait ? 1 : 0, timeout_ns);
    is_asleep_.store(false, std::memory_order_relaxed);
    poller.woke();
    return may_wait;
}

/// After stop(): leaves no request with the kernel that could touch memory later.
void Loop::drain() {
    is_draining_ = true;
    for (Operation* operation = pending_.first(); operation != nullptr;
         operation = PendingList::next(*operation))
        cancel(*operation);
    while (pending_.first() != nullptr) {
        enter(ring_->has_completion() || has_queued_work() ? 0 : 1, std::nullopt);
        run_turn(nullptr);
    }
    // Signals that the last turn left in the queue.
    while (ring_->unsubmitted_count() != 0) enter(0, std::nullopt);
}

}  // namespace mayfly
