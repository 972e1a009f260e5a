// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/io/virtio_worker.h"

#include <bit>

#include <poll.h>

#include "vmm/os/clock.h"
#include "vmm/text/log.h"
#include "vmm/threads/processors.h"

namespace mayfly {

namespace {

/// Chains a queue may finish before others have their turn.
constexpr u32 kBudget = 64;
/// Hot: within this time, so many doorbells returned to user space, or slow requests kept a vCPU from its
/// guest for so long. Below both limits a boot's reads are served faster inline than by waking a thread.
constexpr u64 kHotWindowNs = 20'000'000;
constexpr u32 kHotDoorbells = 64;
constexpr u64 kHotWorkNs = 5'000'000;
/// The same when one doorbell brings so many budgets' worth.
constexpr u32 kInlineRoundsMax = 64;

IoEventPlace event_place(const DoorbellPlace& place) {
    return {place.address, place.is_port, place.size_bytes, place.match};
}

}  // namespace

// --- on a vCPU thread ---

void VirtioWorker::on_start(VirtioCore& core) {
    if (mode_ == Mode::Inline && needs_thread(core)) (void)promote(core);
    // A driver may have filled its queues, and rung in vain, before DRIVER_OK. A promotion in progress looks
    // at every queue at its end.
    for (u16 queue = 0; queue < core.queue_count(); ++queue) run_again(core, queue);
}

void VirtioWorker::on_doorbell(VirtioCore& core, u16 queue) {
    if (mode_ == Mode::Promoted) queues_[queue].follow_doorbell();
    if (mode_ != Mode::Inline || options_.io != IoChoice::Auto) return run_again(core, queue);
    const u64 begin_ns = monotonic_ns();
    run_again(core, queue);
    if (mode_ == Mode::Inline && is_hot(begin_ns, monotonic_ns())) (void)promote(core);
}

void VirtioWorker::run_again(VirtioCore& core, u16 queue) {
    switch (mode_) {
        case Mode::Inline: return run_inline(core, queue);
        case Mode::Promoting: return;
        case Mode::Promoted: return queues_[queue].request(*service_.running());
    }
}

bool VirtioWorker::is_hot(u64 begin_ns, u64 end_ns) {
    if (begin_ns - window_begin_ns_ > kHotWindowNs) {
        window_begin_ns_ = begin_ns;
        window_doorbells_ = 0;
        window_work_ns_ = 0;
    }
    ++window_doorbells_;
    window_work_ns_ += end_ns - begin_ns;
    return (window_doorbells_ >= kHotDoorbells || window_work_ns_ >= kHotWorkNs) && !has_one_processor();
}

void VirtioWorker::run_inline(VirtioCore& core, u16 queue) {
    due_ |= u64{1} << queue;
    if (is_inside_) return;
    is_inside_ = true;
    for (u32 round = 0; due_ != 0 && !is_ending(); ++round) {
        // Another vCPU may refill the rings as fast as this one empties them, and keep it from its guest.
        if (round == kInlineRoundsMax && options_.io == IoChoice::Auto && !has_one_processor() &&
            promote(core))
            break;
        // Each in its turn: the next above the last.
        const u64 above = queue + 1 < 64 ? due_ >> (queue + 1) << (queue + 1) : 0;
        queue = static_cast<u16>(std::countr_zero(above != 0 ? above : due_));
        due_ &= ~(u64{1} << queue);
        const Progress progress = core.run_queue(queue, kBudget);
        if (progress == Progress::More ||
            (progress == Progress::Drained && core.queue(queue).rearm_doorbells()))
            due_ |= u64{1} << queue;
    }
    due_ = 0;
    is_inside_ = false;
}

bool VirtioWorker::promote(VirtioCore& core) {
    Result<IoThread*> thread = service_.get();
    if (!thread) {
        const std::string why = std::string(core.device().name()) +
                                ": the I/O thread cannot be started: " + thread.error().message();
        if (needs_thread(core)) {
            service_.stop().end({EndKind::HostError, 0, why});
        } else {
            log::warning(why + "; its work stays with the vCPUs");
            options_.io = IoChoice::Inline;
        }
        return false;
    }
    mode_ = Mode::Promoting;
    promotion_.core = &core;
    (*thread)->loop().post(promotion_);
    return true;
}

bool VirtioWorker::needs_thread(const VirtioCore& core) const {
    return core.device().needs_io_thread() || options_.has_rate_limit || options_.io == IoChoice::Thread;
}

void VirtioWorker::on_doorbells_moved(VirtioCore& /*core*/) {
    for (Queue& queue : queues_) queue.leave_doorbells();
}

void VirtioWorker::on_completed(VirtioCore& core, u16 queue) {
    // A call from elsewhere (console input) has no turn to end.
    if (mode_ != Mode::Promoted || !service_.is_current()) return core.publish(queue);
    queues_[queue].request_publish(service_.running()->loop());
}

void VirtioWorker::run_at(VirtioCore& /*core*/, u16 queue, u64 deadline_ns) {
    // Only a device that waits for a time needs one, and it has the thread; until the thread runs, every
    // queue is due.
    if (mode_ != Mode::Promoted) return;
    queues_[queue].request_at(service_.running()->loop(), deadline_ns);
}

u64 VirtioWorker::doorbells_caught(u16 queue) const {
    return queue < queues_.size() ? queues_[queue].doorbells_caught() : 0;
}

// --- on the I/O thread ---

void VirtioWorker::Promotion::run() {
    const Lock guard(core->mutex());
    const Result<void> done = worker_.finish_promotion(*core);
    if (!done) {
        worker_.service_.stop().end(
            {EndKind::HostError, 0, std::string(core->device().name()) + ": " + done.error().message()});
    }
}

Result<void> VirtioWorker::finish_promotion(VirtioCore& core) {
    Loop& loop = service_.running()->loop();
    TRY_VOID(options_.backend.attach(loop));
    bool has_warned = false;
    for (u16 index = 0; index < core.queue_count(); ++index) {
        queues_.emplace_back(*this, core, index);
        const Result<void> opened = queues_.back().open_doorbell(loop);
        if (opened || has_warned) continue;
        // Without an eventfd the doorbell traps as before, and is handed on.
        has_warned = true;
        log::warning(std::string(core.device().name()) +
                     ": doorbells keep returning to user space: " + opened.error().message());
    }
    mode_ = Mode::Promoted;
    for (Queue& queue : queues_) queue.request(*service_.running());
    return {};
}

Result<void> VirtioWorker::Queue::open_doorbell(Loop& loop) {
    EventFd event = TRY(EventFd::create());
    const u32 file = TRY(loop.add_file(event.fd()));
    doorbell_.emplace(std::move(event));
    loop.poll_multishot(file, POLLIN, *this);
    places_ = core_.transport().doorbells(index_);
    for (std::optional<DoorbellPlace>& place : places_)
        if (place) place = attach(*place);
    return {};
}

/// A doorbell that KVM refuses (another device has its place) still traps, and so works.
std::optional<DoorbellPlace> VirtioWorker::Queue::attach(const DoorbellPlace& place) const {
    if (!worker_.vm_.attach_io_event(*doorbell_, event_place(place))) return std::nullopt;
    return place;
}

void VirtioWorker::Queue::leave_doorbells() {
    if (!doorbell_) return;
    const DoorbellPlaces wanted = core_.transport().doorbells(index_);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        if (places_[i] == wanted[i]) continue;
        has_moved_ = true;
        if (places_[i]) (void)worker_.vm_.detach_io_event(*doorbell_, event_place(*places_[i]));
        places_[i].reset();
    }
}

void VirtioWorker::Queue::follow_doorbell() {
    if (!has_moved_) return;
    const DoorbellPlaces wanted = core_.transport().doorbells(index_);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        if (places_[i] == wanted[i]) continue;
        if (!worker_.service_.rewiring().take()) return;  // it traps until a token comes
        places_[i] = wanted[i] ? attach(*wanted[i]) : std::nullopt;
    }
    has_moved_ = false;
}

void VirtioWorker::Queue::request(IoThread& thread) {
    if (thread.is_current()) {
        thread.loop().run_soon(*this);
    } else {
        thread.loop().post(*this);
    }
}

void VirtioWorker::Queue::request_at(Loop& loop, u64 deadline_ns) { loop.set_timer(*this, deadline_ns); }

void VirtioWorker::Queue::on_complete(i32 result, bool has_more) {
    if (result >= 0) return work();
    if (!has_more && result != -ECANCELED)
        log::warning("a doorbell cannot be waited for; its queue is served when others ring");
}

void VirtioWorker::Queue::work() {
    IoThread& thread = *worker_.service_.running();
    Progress progress = Progress::Waiting;
    {
        const Lock guard(core_.mutex());
        progress = core_.run_queue(index_, kBudget);
    }
    if (progress == Progress::Drained) return thread.watch(*this);
    // A waiting queue has chains left: if watched, it would always seem to have work.
    thread.unwatch(*this);
    if (progress == Progress::More) thread.loop().run_soon(*this);
}

bool VirtioWorker::Queue::rearm() {
    const Lock guard(core_.mutex());
    return !ring_.is_running() || !ring_.rearm_doorbells();
}

void VirtioWorker::Queue::suppress() {
    const Lock guard(core_.mutex());
    if (ring_.is_running()) ring_.suppress_doorbells();
}

u64 VirtioWorker::Queue::doorbells_caught() const {
    // Nobody reads the counter down: it is the number of writes.
    return doorbell_ ? doorbell_->take() : 0;
}

void VirtioWorker::Queue::Publisher::run() {
    const Lock guard(queue_.core_.mutex());
    queue_.core_.publish(queue_.index_);
}

}  // namespace mayfly
