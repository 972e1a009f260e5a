// SPDX-License-Identifier: Apache-2.0
// The loop's requests. Its turns: loop_run.cc.
#include "vmm/loop/loop.h"

#include <algorithm>
#include <bit>
#include <cerrno>

#include <poll.h>

#include <fmt/format.h>

#include "vmm/error/verify.h"
#include "vmm/loop/ring.h"
#include "vmm/loop/wake_up.h"
#include "vmm/os/clock.h"

namespace mayfly {

namespace {

/// The most that the kernel transfers in one READ or WRITE.
constexpr std::size_t kTransferMax = 0x7fff'f000;

// SAFETY: a pointer travels through the kernel as a number and comes back as it was.
u64 to_user_data(Operation& operation) { return std::bit_cast<u64>(&operation); }

/// `file`: a slot or a descriptor.
void prepare_transfer(io_uring_sqe& entry, bool is_write, int file, std::span<const iovec> parts,
                      u64 offset) {
    if (parts.size() == 1 && parts[0].iov_len <= kTransferMax) {
        // One part needs no vector to be copied by the kernel.
        ::io_uring_prep_rw(is_write ? IORING_OP_WRITE : IORING_OP_READ, &entry, file, parts[0].iov_base,
                           static_cast<unsigned>(parts[0].iov_len), offset);
    } else {
        ::io_uring_prep_rw(is_write ? IORING_OP_WRITEV : IORING_OP_READV, &entry, file, parts.data(),
                           static_cast<unsigned>(parts.size()), offset);
    }
}

}  // namespace

Result<std::unique_ptr<Loop>> Loop::create(const LoopOptions& options) {
    auto ring = TRY(Ring::create(
        {.entries = options.entries, .files_max = options.files_max, .workers_max = options.workers_max}));
    auto wake_event = TRY(EventFd::create());
    std::unique_ptr<Loop> loop(new Loop(options, std::move(ring), std::move(wake_event)));
    const u32 wake_file = TRY(loop->add_file(loop->wake_event_.fd()));
    loop->poll_multishot(wake_file, POLLIN, *loop->wake_up_);
    return loop;
}

Loop::Loop(const LoopOptions& options, std::unique_ptr<Ring> ring, EventFd wake_event)
    : ring_(std::move(ring)),
      wake_event_(std::move(wake_event)),
      wake_up_(std::make_unique<WakeUp>()),
      ready_(TaskQueue::soon_link()),
      turn_end_(TaskQueue::turn_end_link()),
      now_ns_(monotonic_ns()),
      spin_(options.spin_ns_max) {
    free_files_.reserve(ring_->files_max());
    for (u32 file = ring_->files_max(); file > 0; --file) free_files_.push_back(file - 1);
}

Loop::~Loop() {
    // no guest: ~IoThread() has waited for its thread, which is the one that runs a machine's loop.
    VERIFY(life_ != Life::Running);
    VERIFY(life_ == Life::New || pending_.first() == nullptr);
    // Requests to a loop that never ran have not reached the kernel.
    while (Operation* operation = pending_.first()) pending_.remove(*operation);
    while (Timer* timer = timers_.first()) timers_.clear(*timer);
    take_posted();
    while (Task* task = ready_.pop()) task->is_queued_.store(false, std::memory_order_release);
    while (Task* task = turn_end_.pop()) task->is_at_turn_end_ = false;
}

void Loop::post(Task& task) {
    // An exchange even when the task is queued already: the run that follows exchanges it back, and so sees
    // writes from before this post().
    if (task.is_queued_.exchange(true, std::memory_order_acq_rel)) return;
    Task* newest = posted_.load(std::memory_order_relaxed);
    do {
        task.next_ = newest;
    } while (
        !posted_.compare_exchange_weak(newest, &task, std::memory_order_seq_cst, std::memory_order_relaxed));
    // Sequentially consistent, as in sleep(): either we see that it sleeps, or it sees the task.
    if (is_asleep_.exchange(false, std::memory_order_seq_cst)) wake_event_.signal();
}

void Loop::stop() {
    is_stopping_.store(true, std::memory_order_seq_cst);
    if (is_asleep_.exchange(false, std::memory_order_seq_cst)) wake_event_.signal();
}

Result<u32> Loop::add_file(const UniqueFd& fd) {
    if (free_files_.empty())
        return fail(Error::host(fmt::format("all {} files of the I/O thread are taken", ring_->files_max())));
    const u32 file = free_files_.back();
    const int error = -ring_->set_file(file, fd.get());
    if (error != 0) return fail(Error::os("IORING_REGISTER_FILES_UPDATE", error));
    free_files_.pop_back();
    return file;
}

void Loop::remove_file(u32 file) {
    if (life_ == Life::Ended) return;  // the files are gone
    // Removing a file can only fail for lack of memory; the slot then keeps the file open, unused.
    if (ring_->set_file(file, -1) == 0) free_files_.push_back(file);
}

/// Never null. A full queue is submitted first.
io_uring_sqe& Loop::next_entry() {
    io_uring_sqe* entry = ring_->next_entry();
    while (entry == nullptr) {
        // no guest: before the loop runs only its wake-up is requested, one entry; the rest comes from its
        // own thread.
        VERIFY(life_ == Life::Running);
        enter(0, std::nullopt);
        entry = ring_->next_entry();
    }
    return *entry;
}

/// Makes the entry belong to the operation, in flight from now on.
void Loop::begin(io_uring_sqe& entry, Operation& operation, Kind kind) {
    // no guest: doorbells are polled once each; a DiskRequest leaves the free list until it is done;
    // Readiness looks at is_pending().
    VERIFY(!operation.is_pending());
    if (kind == Kind::Registered) entry.flags |= IOSQE_FIXED_FILE;
    entry.user_data = to_user_data(operation);
    pending_.add(operation);
    if (is_draining_) cancel(operation);
}

void Loop::poll_multishot(u32 file, u32 events, Operation& operation) {
    io_uring_sqe& entry = next_entry();
    ::io_uring_prep_poll_multishot(&entry, static_cast<int>(file), events);
    operation.is_poll_ = true;
    operation.file_ = file;
    operation.events_ = events;
    begin(entry, operation);
}

void Loop::readv(u32 file, std::span<const iovec> parts, u64 offset, Operation& operation) {
    io_uring_sqe& entry = next_entry();
    prepare_transfer(entry, false, static_cast<int>(file), parts, offset);
    operation.is_poll_ = false;
    begin(entry, operation);
}

void Loop::writev(u32 file, std::span<const iovec> parts, u64 offset, u32 rw_flags, Operation& operation) {
    io_uring_sqe& entry = next_entry();
    prepare_transfer(entry, true, static_cast<int>(file), parts, offset);
    entry.rw_flags = static_cast<__kernel_rwf_t>(rw_flags);
    operation.is_poll_ = false;
    begin(entry, operation);
}

void Loop::fsync(u32 file, bool data_only, Operation& operation) {
    io_uring_sqe& entry = next_entry();
    ::io_uring_prep_fsync(&entry, static_cast<int>(file), data_only ? IORING_FSYNC_DATASYNC : 0);
    operation.is_poll_ = false;
    begin(entry, operation);
}

void Loop::readv(const UniqueFd& fd, std::span<const iovec> parts, u64 offset, Operation& operation) {
    io_uring_sqe& entry = next_entry();
    prepare_transfer(entry, false, fd.get(), parts, offset);
    operation.is_poll_ = false;
    begin(entry, operation, Kind::Plain);
}

void Loop::fsync(const UniqueFd& fd, bool data_only, Operation& operation) {
    io_uring_sqe& entry = next_entry();
    ::io_uring_prep_fsync(&entry, fd.get(), data_only ? IORING_FSYNC_DATASYNC : 0);
    operation.is_poll_ = false;
    begin(entry, operation, Kind::Plain);
}

void Loop::fallocate(u32 file, int mode, u64 offset, u64 length, Operation& operation) {
    io_uring_sqe& entry = next_entry();
    // Not the library's function: its types differ between versions. man io_uring_enter(2),
    // IORING_OP_FALLOCATE.
    entry.opcode = IORING_OP_FALLOCATE;
    entry.fd = static_cast<int>(file);
    entry.off = offset;
    entry.addr = length;
    entry.len = static_cast<u32>(mode);
    operation.is_poll_ = false;
    begin(entry, operation);
}

void Loop::cancel(Operation& operation) {
    if (operation.state_ != Operation::State::Pending) return;
    operation.state_ = Operation::State::Cancelled;
    io_uring_sqe& entry = next_entry();
    ::io_uring_prep_cancel64(&entry, to_user_data(operation), 0);
    entry.user_data = 0;
    entry.flags |= ring_->skip_success_flag();
}

void Loop::signal(const EventFd& event) {
    const auto end = signals_.begin() + signal_count_;
    if (std::find(signals_.begin(), end, &event) != end) return;
    if (signal_count_ == kSignalsMax) send_signals();
    signals_[signal_count_++] = &event;
}

void Loop::at_turn_end(Task& task) {
    if (task.is_at_turn_end_) return;
    task.is_at_turn_end_ = true;
    turn_end_.push(task);
}

void Loop::run_soon(Task& task) {
    if (task.is_queued_.exchange(true, std::memory_order_acq_rel)) return;
    ready_.push(task);
}

void Loop::set_timer(Timer& timer, u64 deadline_ns) {
    // One nanosecond later is another turn, so that a timer that sets itself again cannot keep this one.
    timers_.set(timer, std::max(deadline_ns, now_ns_ + 1));
}

void Loop::clear_timer(Timer& timer) { timers_.clear(timer); }

}  // namespace mayfly
