// SPDX-License-Identifier: Apache-2.0
#include "vmm/loop/ring.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vmm/error/verify.h"
#include "vmm/text/log.h"

namespace mayfly {

namespace {

/// The CQ is larger than the SQ, because polls complete without being submitted each time.
constexpr u32 kCompletionsPerEntry = 4;

/// Newest first. A set-up that the kernel refuses makes no ring, so falling down this list costs nothing.
constexpr std::array<u32, 5> kSetupFlags{
    // 6.1: completions are processed in our own enter(), not whenever this thread is in the kernel.
    IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_TASKRUN_FLAG |
        IORING_SETUP_SUBMIT_ALL,
    // 6.0
    IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_TASKRUN_FLAG |
        IORING_SETUP_SUBMIT_ALL,
    // 5.19
    IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
    // 5.18
    IORING_SETUP_SUBMIT_ALL,
    0,
};

/// A wait with a time limit (5.11), completions that are never dropped, and the features that came with
/// multishot poll.
constexpr u32 kFeaturesNeeded = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_RSRC_TAGS;

Error explain(int error) {
    Error os = Error::os("io_uring_setup", error);
    if (error == ENOSYS) return std::move(os).hint("this kernel has no io_uring: use --io inline");
    if (error == EPERM)
        return std::move(os).hint(
            "io_uring is forbidden here (sysctl kernel.io_uring_disabled, or seccomp): use "
            "--io inline");
    if (error == ENOMEM) return std::move(os).hint("raise the limit of locked memory, ulimit -l");
    return os;
}

Result<void> set_up(io_uring& ring, u32 entries) {
    int error = 0;
    for (const u32 flags : kSetupFlags) {
        io_uring_params params{};
        // Disabled, because the thread that will submit is not the one that makes it (5.10).
        params.flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED;
        params.cq_entries = entries * kCompletionsPerEntry;
        error = -::io_uring_queue_init_params(entries, &ring, &params);
        if (error != EINVAL) break;
    }
    if (error != 0) return fail(explain(error));
    if ((ring.features & kFeaturesNeeded) == kFeaturesNeeded) return {};
    ::io_uring_queue_exit(&ring);
    return fail(
        Error::host("this kernel's io_uring is older than that of Linux 5.13").hint("use --io inline"));
}

Result<void> make_file_table(io_uring& ring, u32 count) {
    int error = -::io_uring_register_files_sparse(&ring, count);
    if (error == EINVAL) {  // before 5.19
        const std::vector<int> none(count, -1);
        error = -::io_uring_register_files(&ring, none.data(), count);
    }
    if (error != 0) return fail(Error::os("IORING_REGISTER_FILES", error));
    return {};
}

/// The kernel refuses a table larger than the limit of open files.
u32 clamp_to_open_files(u32 count) {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return count;
    return static_cast<u32>(std::min<rlim_t>(count, limit.rlim_cur));
}

Completion completion_at(const io_uring& ring, u32 head) {
    const io_uring_cqe& entry = ring.cq.cqes[head & ring.cq.ring_mask];
    return {.user_data = entry.user_data, .result = entry.res, .flags = entry.flags};
}

}  // namespace

Result<std::unique_ptr<Ring>> Ring::create(const RingOptions& options) {
    std::unique_ptr<Ring> ring(new Ring());
    ring->ring_.ring_fd = -1;
    TRY_VOID(set_up(ring->ring_, options.entries));
    ring->files_max_ = clamp_to_open_files(options.files_max);
    TRY_VOID(make_file_table(ring->ring_, ring->files_max_));
    // Kernels before 5.15 cannot be told; then their own limits apply.
    std::array<unsigned, 2> workers{options.workers_max, options.workers_max};
    (void)::io_uring_register_iowq_max_workers(&ring->ring_, workers.data());
    // Entry n always stands in place n, so that the array of places is written once.
    for (u32 place = 0; place < ring->ring_.sq.ring_entries; ++place) ring->ring_.sq.array[place] = place;
    ring->stash_.reserve(ring->ring_.cq.ring_entries);
    return ring;
}

Ring::~Ring() {
    if (ring_.ring_fd >= 0) ::io_uring_queue_exit(&ring_);
}

void Ring::take_over() {
    // no guest: set_up() made the ring disabled, and run() enables it once.
    VERIFY(::io_uring_enable_rings(&ring_) == 0);
    is_fd_registered_ = ::io_uring_register_ring_fd(&ring_) == 1;  // 5.18; without it each enter looks it up
}

void Ring::leave() {
    if (is_fd_registered_) (void)::io_uring_unregister_ring_fd(&ring_);
    is_fd_registered_ = false;
    // The kernel frees the ring itself later; files and their locks should not wait for that.
    (void)::io_uring_unregister_files(&ring_);
}

io_uring_sqe* Ring::next_entry() {
    io_uring_sqe* entry = ::io_uring_get_sqe(&ring_);
    if (entry != nullptr) std::memset(entry, 0, sizeof *entry);
    return entry;
}

u32 Ring::unsubmitted_count() const { return ::io_uring_sq_ready(&ring_); }

bool Ring::is_enter_flag_set() const {
    return (IO_URING_READ_ONCE(*ring_.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

bool Ring::wants_enter() const { return is_enter_flag_set() && !is_enter_flag_stale_; }

bool Ring::has_completion() const {
    return stash_read_ != stash_.size() || *ring_.cq.khead != io_uring_smp_load_acquire(ring_.cq.ktail);
}

std::optional<Completion> Ring::pop_completion() {
    if (stash_read_ != stash_.size()) {
        const Completion completion = stash_[stash_read_++];
        if (stash_read_ == stash_.size()) {
            stash_.clear();
            stash_read_ = 0;
        }
        return completion;
    }
    const u32 head = *ring_.cq.khead;
    if (head == io_uring_smp_load_acquire(ring_.cq.ktail)) return std::nullopt;
    const Completion completion = completion_at(ring_, head);
    io_uring_smp_store_release(ring_.cq.khead, head + 1);
    return completion;
}

/// Kernels before 5.19 accept nothing (EBUSY) while completions overflow. The submitter may be unable to
/// handle callbacks at this point, so completions are stashed until their turn.
void Ring::stash_completions() {
    const u32 tail = io_uring_smp_load_acquire(ring_.cq.ktail);
    u32 head = *ring_.cq.khead;
    for (; head != tail; ++head) stash_.push_back(completion_at(ring_, head));
    io_uring_smp_store_release(ring_.cq.khead, head);
}

u32 Ring::enter(u32 completions_min, std::optional<u64> timeout_ns) {
    // Not io_uring_submit_and_wait_timeout(): without anything to wait for, or with a completion ready, it
    // does not set GETEVENTS, and the kernel's deferred work needs another call.
    const bool was_flag_set = is_enter_flag_set();
    io_uring_smp_store_release(ring_.sq.ktail, ring_.sq.sqe_tail);
    const u32 before = unsubmitted_count();
    __kernel_timespec time{};
    io_uring_getevents_arg argument{};
    argument.sigmask_sz = _NSIG / 8;
    if (timeout_ns) {
        time.tv_sec = static_cast<i64>(*timeout_ns / 1'000'000'000);
        time.tv_nsec = static_cast<long long>(*timeout_ns % 1'000'000'000);
        // SAFETY: the kernel reads it during the call.
        argument.ts = reinterpret_cast<u64>(&time);
    }
    unsigned flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
    if (is_fd_registered_) flags |= IORING_ENTER_REGISTERED_RING;
    // SAFETY: with EXT_ARG the kernel takes a io_uring_getevents_arg where it took a signal mask.
    const int result = ::io_uring_enter2(static_cast<unsigned>(ring_.enter_ring_fd), before, completions_min,
                                         flags, reinterpret_cast<sigset_t*>(&argument), sizeof argument);
    if (result == -EBUSY) stash_completions();
    // Out of memory for requests. Nothing can be freed; the requests are submitted again.
    if (result == -EAGAIN || result == -ENOMEM) ::sched_yield();
    // More completions at once than the ring holds, and no memory for the rest: the kernel reports this once.
    // Operations whose completion was lost wait until the machine ends; everything else goes on.
    if (result == -EBADR) log::warning("the kernel lost a completion for want of memory: a request hangs");
    // no guest: the arguments are ours, and the errors that a guest's I/O can cause are handled above.
    VERIFY(result >= 0 || result == -EBUSY || result == -EAGAIN || result == -ENOMEM || result == -EINTR ||
           result == -ETIME || result == -EBADR);
    // The kernel queues work first and sets IORING_SQ_TASKRUN then. When we take that work in between, for
    // example when the processor is taken away, the flag stays set until the next work clears it. Until then
    // the flag is meaningless, and a wait finds any work.
    is_enter_flag_stale_ = was_flag_set && is_enter_flag_set() && !has_completion();
    return before - unsubmitted_count();
}

int Ring::set_file(u32 slot, int fd) {
    const int result = ::io_uring_register_files_update(&ring_, slot, &fd, 1);
    return result < 0 ? result : 0;
}

u8 Ring::skip_success_flag() const {
    return (ring_.features & IORING_FEAT_CQE_SKIP) != 0 ? IOSQE_CQE_SKIP_SUCCESS : 0;
}

}  // namespace mayfly
