// SPDX-License-Identifier: Apache-2.0
// IoThread: a thread that services devices, with an io_uring of its own. Made when a device first needs it.
//
// A machine has one for all devices but those whose work may block for long: each of them has one to itself
// (DeviceParts::has_own_thread).
// Thread: IoService::get() under a device's lock, on any thread; the rest says so.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "vmm/loop/loop.h"
#include "vmm/machine/io/rewiring_limit.h"
#include "vmm/machine/lifecycle/stop_control.h"
#include "vmm/threads/mutex.h"
#include "vmm/threads/thread.h"

namespace mayfly {

/// One queue as the I/O thread sees it while it looks at its ring instead of waiting for a doorbell.
/// The I/O thread only.
class WatchedQueue {
  public:
    WatchedQueue() = default;
    WatchedQueue(const WatchedQueue&) = delete;
    WatchedQueue& operator=(const WatchedQueue&) = delete;
    virtual ~WatchedQueue() = default;

    /// Cheap; a hint.
    [[nodiscard]] virtual bool has_work() const = 0;
    virtual void work() = 0;
    /// Asks for a doorbell; false when work has already come.
    [[nodiscard]] virtual bool rearm() = 0;
    virtual void suppress() = 0;

    bool is_watched = false;  ///< the I/O thread's own mark
};

class IoThread final : private Poller {
  public:
    /// Errors: the loop's (io_uring is missing or forbidden), or a thread cannot be started.
    static Result<std::unique_ptr<IoThread>> start();
    /// Waits for the thread, for as long as its I/O hangs in the host.
    ~IoThread() override;

    /// post() and stop(): any thread.
    [[nodiscard]] Loop& loop() { return *loop_; }
    /// Whether the caller runs on this thread.
    [[nodiscard]] bool is_current() const;
    /// I/O thread: from now on until the loop sleeps the queue's ring is looked at.
    void watch(WatchedQueue& queue);
    void unwatch(WatchedQueue& queue);

    /// Makes the thread wait, away from everything that is the guest's, until unpark(): all earlier requests
    /// are done, their signals included. \returns false where it did not park by `deadline_ns` of the
    /// monotonic clock; then it goes on. One thread at a time, not this one.
    [[nodiscard]] bool park(u64 deadline_ns);
    void unpark();

    /// Makes the loop end soon: at once, unless its I/O hangs in the host. Any thread; repeatable.
    void stop();
    /// The loop has ended, and its counts stay as they are. Any thread.
    [[nodiscard]] bool has_ended() const { return has_ended_.load(std::memory_order_acquire); }

  private:
    explicit IoThread(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}
    bool poll() override;
    bool prepare_to_sleep() override;
    void woke() override;

    /// Waits on the loop's thread.
    class Parking final : public Task {
      public:
        explicit Parking(IoThread& thread) : thread_(thread) {}
        void run() override;
        [[nodiscard]] bool request(u64 deadline_ns);
        void end() { leave(Stage::Idle); }
        void close() { leave(Stage::Over); }

      private:
        enum class Stage : u8 {
            Idle,
            Asked,  ///< a turn ends first, so that its requests are submitted
            Parked,
            Over,  ///< the thread ends: nobody parks it any more
        };
        void leave(Stage to);

        IoThread& thread_;
        bool has_turned_ = false;  // the loop's thread's
        Mutex mutex_;
        Condition changed_;
        Stage stage_ GUARDED_BY(mutex_) = Stage::Idle;
    };

    Parking parking_{*this};  // it may be queued until the loop goes
    std::unique_ptr<Loop> loop_;
    std::optional<Thread> thread_;
    std::vector<WatchedQueue*> watched_;
    std::atomic<bool> has_ended_ = false;
};

/// Makes the I/O thread when it is first asked for. Any thread; internally locked.
class IoService {
  public:
    /// Both outlive it; `rewiring` is of all devices together.
    IoService(StopControl& stop, RewiringLimit& rewiring) : stop_(stop), rewiring_(rewiring) {}

    /// Errors: as IoThread::start().
    [[nodiscard]] Result<IoThread*> get();
    /// Null before the first request for it.
    [[nodiscard]] IoThread* running() const { return published_.load(std::memory_order_acquire); }
    /// Whether the caller is the I/O thread.
    [[nodiscard]] bool is_current() const;
    [[nodiscard]] StopControl& stop() { return stop_; }
    /// Whether no thread works.
    [[nodiscard]] bool has_ended() const { return running() == nullptr || running()->has_ended(); }
    /// Null without a thread, or while it runs.
    [[nodiscard]] const LoopCounts* loop_counts() const {
        return running() != nullptr && has_ended() ? &running()->loop().counts() : nullptr;
    }
    /// Once no vCPU runs: waits for the thread, and destroys its loop.
    void close();
    [[nodiscard]] RewiringLimit& rewiring() { return rewiring_; }

  private:
    StopControl& stop_;
    RewiringLimit& rewiring_;
    Mutex mutex_;
    std::unique_ptr<IoThread> thread_ GUARDED_BY(mutex_);
    std::atomic<IoThread*> published_ = nullptr;
};

}  // namespace mayfly
