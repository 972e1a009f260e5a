// SPDX-License-Identifier: Apache-2.0
// Loop: the one io_uring of an I/O thread; doorbells, disks, taps and interrupts go through it.
//
// A turn: completions, timers, tasks, the poller, tasks for the end of the turn, signals; then one
// io_uring_enter submits all requests and waits. Each part is bounded, so that none starves. Nothing is
// allocated after create(). After work the loop polls for more for a while before it sleeps; the time adapts
// to how often polling paid.
//
// Thread: create(), post() and stop(): any. Everything else: the thread inside run(); or, before run(), the
// one that sets the loop up. Counts may be read when run() has returned. Spec: Linux
// include/uapi/linux/io_uring.h; man io_uring_setup(2), io_uring_enter(2).
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <sys/uio.h>

#include "vmm/error/ints.h"
#include "vmm/error/result.h"
#include "vmm/loop/operation.h"
#include "vmm/loop/poller.h"
#include "vmm/loop/queues.h"
#include "vmm/loop/spin_window.h"
#include "vmm/loop/task.h"
#include "vmm/loop/timer.h"
#include "vmm/os/event_fd.h"
#include "vmm/os/unique_fd.h"

struct io_uring_sqe;

namespace mayfly {

class Ring;

struct LoopOptions {
    u32 entries = 256;         ///< requests per io_uring_enter; more requests need more calls
    u32 files_max = 256;       ///< registered files
    u32 workers_max = 4;       ///< kernel threads for what the kernel cannot do without blocking
    u64 spin_ns_max = 50'000;  ///< the longest polling before sleeping; 0: never
};

struct LoopCounts {
    u64 enters = 0;     ///< io_uring_enter calls
    u64 submitted = 0;  ///< requests, signals included
    u64 completions = 0;
    u64 turns = 0;
    u64 sleeps = 0;
    u64 polls_hit = 0;        ///< polling before sleeping found work
    u64 polls_missed = 0;     ///< polling found none, and the loop slept
    u64 signals_written = 0;  ///< by write(2)
    u64 signals_by_ring = 0;
};

class Loop {
  public:
    /// Errors: Host where the kernel has no io_uring, forbids it, or is older than 5.13; Os otherwise.
    static Result<std::unique_ptr<Loop>> create(const LoopOptions& options);

    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;
    /// After run(), or without one. Drops the tasks, timers and requests that are still queued.
    ~Loop();

    /// Makes the task run on the loop's thread, soon. Has no effect while the task is queued.
    void post(Task& task);
    /// Makes run() return: requests in flight are cancelled and waited for first.
    void stop();

    /// Registers a file, which keeps it open, and returns its slot. Errors: Host when all slots are taken.
    [[nodiscard]] Result<u32> add_file(const UniqueFd& fd);
    /// Requests in flight keep the file until they end.
    void remove_file(u32 file);

    /// Calls back with the present events and at each wake-up from then on, until it is cancelled or fails.
    /// Not once per event: wake-ups coalesce, so read the file until it is empty, or never read it (an
    /// eventfd whose counter does not matter). `events`: POLLIN and so on.
    void poll_multishot(u32 file, u32 events, Operation& operation);
    /// `parts` and what they point to stay until the completion. The caller continues partial transfers.
    void readv(u32 file, std::span<const iovec> parts, u64 offset, Operation& operation);
    /// `rw_flags`: RWF_DSYNC and so on.
    void writev(u32 file, std::span<const iovec> parts, u64 offset, u32 rw_flags, Operation& operation);
    void fsync(u32 file, bool data_only, Operation& operation);
    /// The same for files that are not worth a slot; `fd` stays open until the completion.
    void readv(const UniqueFd& fd, std::span<const iovec> parts, u64 offset, Operation& operation);
    void fsync(const UniqueFd& fd, bool data_only, Operation& operation);
    void fallocate(u32 file, int mode, u64 offset, u64 length, Operation& operation);
    /// Only a request: the completion still comes, with -ECANCELED or with its result. No effect on idle
    /// operations.
    void cancel(Operation& operation);

    /// Adds one to the eventfd by the end of the turn; once per turn however often it is called. The eventfd
    /// lives until then.
    void signal(const EventFd& event);
    /// Once, after the rest of this turn and before its signals. Independent of post() and run_soon().
    void at_turn_end(Task& task);
    /// Next turn, before sleeping. First come, first served, each once per turn.
    void run_soon(Task& task);
    /// Sets or moves it. Called in order of deadlines, at most once per turn.
    void set_timer(Timer& timer, u64 deadline_ns);
    void clear_timer(Timer& timer);
    /// CLOCK_MONOTONIC, read once per turn, and before each poll() while polling.
    [[nodiscard]] u64 now_ns() const { return now_ns_; }

    /// Until stop(). Once per loop.
    void run(Poller& poller);

    /// stop() was called: new requests are cancelled.
    [[nodiscard]] bool is_stopping() const { return is_stopping_.load(std::memory_order_acquire); }
    [[nodiscard]] const LoopCounts& counts() const { return counts_; }

  private:
    class WakeUp;
    enum class Life : u8 { New, Running, Ended };
    static constexpr u32 kCompletionsPerTurn = 256;
    static constexpr u32 kSignalsMax = 64;

    Loop(const LoopOptions& options, std::unique_ptr<Ring> ring, EventFd wake_event);

    io_uring_sqe& next_entry();
    enum class Kind : u8 { Registered, Plain };  ///< of a file
    void begin(io_uring_sqe& entry, Operation& operation, Kind kind = Kind::Registered);
    void enter(u32 completions_min, std::optional<u64> timeout_ns);

    bool run_turn(Poller* poller);
    void reap();
    void complete(Operation& operation, i32 result, bool has_more);
    void run_timers();
    void take_posted();
    void run_tasks();
    void run_turn_end();
    void send_signals();
    [[nodiscard]] bool has_queued_work() const;
    [[nodiscard]] bool is_work_visible() const;
    void wait_for_work(Poller& poller);
    bool spin(Poller& poller, u64 begin_ns);
    bool sleep(Poller& poller);
    void drain();

    std::unique_ptr<Ring> ring_;
    EventFd wake_event_;
    std::unique_ptr<WakeUp> wake_up_;

    std::atomic<Task*> posted_ = nullptr;  ///< newest first
    std::atomic<bool> is_asleep_ = false;  ///< or about to be: post() must wake it
    std::atomic<bool> is_stopping_ = false;

    Life life_ = Life::New;
    bool is_draining_ = false;  ///< new requests are cancelled at once
    PendingList pending_;
    TaskQueue ready_;
    TaskQueue turn_end_;
    TimerList timers_;
    std::array<const EventFd*, kSignalsMax> signals_{};
    u32 signal_count_ = 0;
    std::vector<u32> free_files_;
    u64 now_ns_ = 0;
    SpinWindow spin_;
    LoopCounts counts_;
};

}  // namespace mayfly
