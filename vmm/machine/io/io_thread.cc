// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/io/io_thread.h"

#include <algorithm>

#include "vmm/error/verify.h"
#include "vmm/os/clock.h"

namespace mayfly {

namespace {

/// 64 disks of 16 queues, 8 network devices of 17: watched at once only if all are busy.
constexpr std::size_t kWatchedMax = 64 * 16 + 8 * 17 + 4;
/// Files: a doorbell for each queue, and each device's own.
constexpr u32 kFilesMax = 2048;

thread_local const IoThread* current_thread = nullptr;

}  // namespace

Result<std::unique_ptr<IoThread>> IoThread::start() {
    LoopOptions options;
    options.files_max = kFilesMax;
    std::unique_ptr<Loop> loop =
        TRY(Loop::create(options));  // not inside `new`, whose memory a TRY would lose
    std::unique_ptr<IoThread> self(new IoThread(std::move(loop)));
    self->watched_.reserve(kWatchedMax);
    IoThread* thread_self = self.get();
    self->thread_ = TRY(Thread::start([thread_self] {
        current_thread = thread_self;
        thread_self->loop_->run(*thread_self);
        thread_self->has_ended_.store(true, std::memory_order_release);
    }));
    return self;
}

IoThread::~IoThread() {
    if (!thread_) return;
    stop();
    thread_->join();
}

bool IoThread::is_current() const { return current_thread == this; }

void IoThread::watch(WatchedQueue& queue) {
    if (queue.is_watched) return;
    // no guest: options allow no more queues than this, and is_watched keeps each from coming twice. A queue
    // that was left out would never be asked to ring again.
    VERIFY(watched_.size() < kWatchedMax);
    queue.is_watched = true;
    queue.suppress();
    watched_.push_back(&queue);
}

void IoThread::unwatch(WatchedQueue& queue) {
    if (!queue.is_watched) return;
    queue.is_watched = false;
    *std::find(watched_.begin(), watched_.end(), &queue) = watched_.back();
    watched_.pop_back();
}

bool IoThread::poll() {
    bool found = false;
    for (std::size_t i = 0; i < watched_.size();) {
        WatchedQueue* const queue = watched_[i];
        if (queue->has_work()) {
            queue->work();
            found = true;
        }
        // It may have removed itself, and another may have taken its place.
        if (i < watched_.size() && watched_[i] == queue) ++i;
    }
    return found;
}

bool IoThread::prepare_to_sleep() {
    for (std::size_t i = 0; i < watched_.size(); ++i) {
        if (watched_[i]->rearm()) continue;
        for (std::size_t armed = 0; armed <= i; ++armed) watched_[armed]->suppress();
        return false;
    }
    return true;
}

void IoThread::woke() {
    // Their doorbells are armed: a queue with work will ring.
    for (WatchedQueue* queue : watched_) queue->is_watched = false;
    watched_.clear();
}

bool IoThread::park(u64 deadline_ns) { return parking_.request(deadline_ns); }

void IoThread::unpark() { parking_.end(); }

void IoThread::Parking::run() {
    // A turn writes its signals when it ends, and then submits those that go by the ring.
    if (!has_turned_) {
        has_turned_ = true;
        return thread_.loop_->run_soon(*this);
    }
    has_turned_ = false;
    const Lock lock(mutex_);
    if (stage_ != Stage::Asked) return;
    stage_ = Stage::Parked;
    changed_.notify_all();
    while (stage_ == Stage::Parked) changed_.wait(mutex_);
}

bool IoThread::Parking::request(u64 deadline_ns) {
    {
        const Lock lock(mutex_);
        if (stage_ == Stage::Over) return false;
        stage_ = Stage::Asked;
    }
    thread_.loop_->post(*this);
    const Lock lock(mutex_);
    while (stage_ != Stage::Parked) {
        if (stage_ == Stage::Over) return false;
        const u64 now_ns = monotonic_ns();
        if (now_ns >= deadline_ns) {
            stage_ = Stage::Idle;
            return false;
        }
        changed_.wait_for(mutex_, deadline_ns - now_ns);
    }
    return true;
}

void IoThread::Parking::leave(Stage to) {
    const Lock lock(mutex_);
    if (stage_ != Stage::Over) stage_ = to;
    changed_.notify_all();
}

void IoThread::stop() {
    parking_.close();
    loop_->stop();
}

Result<IoThread*> IoService::get() {
    const Lock guard(mutex_);
    if (thread_ == nullptr) {
        thread_ = TRY(IoThread::start());
        published_.store(thread_.get(), std::memory_order_release);
    }
    return thread_.get();
}

void IoService::close() {
    const Lock guard(mutex_);
    published_.store(nullptr, std::memory_order_release);
    thread_.reset();
}

bool IoService::is_current() const {
    const IoThread* thread = running();
    return thread != nullptr && thread->is_current();
}

}  // namespace mayfly
