// SPDX-License-Identifier: Apache-2.0
// Ring: an io_uring's set-up, its two queues and the one system call. Knows nothing of operations or turns.
//
// Thread: create() any; then the one that calls take_over(), which the kernel makes its only submitter.
// Spec: Linux include/uapi/linux/io_uring.h; man io_uring_setup(2), io_uring_enter(2).
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include <liburing.h>

#include "vmm/error/ints.h"
#include "vmm/error/result.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

struct RingOptions {
    u32 entries = 256;
    u32 files_max = 256;
    u32 workers_max = 4;
};

struct Completion {
    u64 user_data = 0;
    i32 result = 0;
    u32 flags = 0;
};

class Ring {
  public:
    /// Disabled until take_over(). Errors: as Loop::create().
    static Result<std::unique_ptr<Ring>> create(const RingOptions& options);
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;
    ~Ring();

    /// From now on the ring belongs to this thread, which alone may call the rest (the file table: also
    /// earlier, from any one thread).
    void take_over();
    /// Before this thread ends. Releases the files; nothing is in flight.
    void leave();

    /// A zeroed entry, or null when the queue is full until enter().
    io_uring_sqe* next_entry();
    [[nodiscard]] u32 unsubmitted_count() const;
    /// The kernel holds completions back until the next enter().
    [[nodiscard]] bool wants_enter() const;
    [[nodiscard]] bool has_completion() const;
    [[nodiscard]] std::optional<Completion> pop_completion();

    /// Submits, runs what the kernel deferred, waits for `completions_min` or until the time is over.
    /// \returns how many entries the kernel took.
    u32 enter(u32 completions_min, std::optional<u64> timeout_ns);

    [[nodiscard]] int set_file(u32 slot, int fd);
    [[nodiscard]] u32 files_max() const { return files_max_; }
    /// IOSQE_CQE_SKIP_SUCCESS, or 0 where the kernel is older than 5.17.
    [[nodiscard]] u8 skip_success_flag() const;

  private:
    Ring() = default;
    void stash_completions();
    [[nodiscard]] bool is_enter_flag_set() const;

    io_uring ring_{};
    u32 files_max_ = 0;
    bool is_fd_registered_ = false;
    bool is_enter_flag_stale_ = false;  ///< set since before the last enter(), which found nothing
    std::vector<Completion> stash_;     ///< see stash_completions()
    std::size_t stash_read_ = 0;
};

}  // namespace mayfly
