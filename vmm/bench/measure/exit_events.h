// SPDX-License-Identifier: Apache-2.0
// ExitEvents: KVM's tracepoints kvm_exit and kvm_userspace_exit, counted for our children, whatever monitor
// they are. perf_event_open(2) on ourselves, inherited, counting from execve on (enable_on_exec).
//
// A counted tracepoint makes each exit slower, so runs that are timed happen without this object.
// Thread: the one that starts the children.
#pragma once

#include "vmm/error/ints.h"
#include "vmm/error/result.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

class ExitEvents {
  public:
    struct Counts {
        u64 exits = 0;    ///< guest to KVM
        u64 returns = 0;  ///< KVM to user space
    };

    /// Errors: Os or Host, with the reason: the kernel lacks the tracepoints or does not allow us to use
    /// them.
    static Result<ExitEvents> open();

    /// Of all children that have ended since open().
    [[nodiscard]] Counts read() const;

  private:
    ExitEvents(UniqueFd exits, UniqueFd returns) : exits_(std::move(exits)), returns_(std::move(returns)) {}

    UniqueFd exits_;
    UniqueFd returns_;
};

}  // namespace mayfly
