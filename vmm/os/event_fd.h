// SPDX-License-Identifier: Apache-2.0
// EventFd: a kernel counter that wakes its listener: KVM for an interrupt, us for a doorbell.
// Thread: any.
#pragma once

#include "vmm/error/ints.h"
#include "vmm/error/result.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

class EventFd {
  public:
    /// Non-blocking, close-on-exec, counter 0. Non-blocking also keeps io_uring from using worker threads.
    static Result<EventFd> create();

    /// Adds one. Never blocks; a saturated counter stays saturated, which still counts as signalled.
    void signal() const;
    /// Takes the counter, 0 when it is not signalled.
    [[nodiscard]] u64 take() const;

    [[nodiscard]] const UniqueFd& fd() const { return fd_; }

  private:
    explicit EventFd(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

}  // namespace mayfly
