// SPDX-License-Identifier: Apache-2.0
// Process: one fresh exec, stamped just before it.
//
// Its own process group, /dev/null as stdin, no signal blocked, and killed if we die. vfork(2) by default: it
// does not copy us, so its cost does not depend on what we have measured so far. A process that was forked
// instead can be asked for its peak memory: after vfork the kernel counts ours as its own. Thread: the one
// that started it, to the end.
#pragma once

#include <string>
#include <vector>

#include <sys/resource.h>
#include <sys/types.h>

#include "vmm/error/result.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

/// Descriptors for the new process; -1: ours, or none for the last two.
struct ProcessFiles {
    int input = -1;
    int output = -1;
    int error = -1;
    int third = -1;   ///< becomes 3
    int fourth = -1;  ///< becomes 4
};
/// Descriptors to be passed have at least this number, so that none is overwritten.
constexpr int kHandedFdMin = 10;

class Process {
  public:
    /// The child's results, in shared memory.
    struct Birth {
        u64 exec_ns = 0;     ///< CLOCK_MONOTONIC
        int exec_errno = 0;  ///< not 0: execve(2) failed
    };

    struct End {
        int wait_status = 0;
        rusage usage{};
        Birth birth;
    };

    static Result<Process> start(const std::string& program, const std::vector<std::string>& arguments,
                                 const ProcessFiles& files, bool is_forked);

    Process(Process&&) = default;
    Process& operator=(Process&&) = default;

    /// Readable when the process has ended.
    [[nodiscard]] const UniqueFd& pidfd() const { return pidfd_; }
    [[nodiscard]] pid_t pid() const { return pid_; }
    /// Of execve(2), 0 when it succeeded. Not of a forked process: see reap().
    [[nodiscard]] int exec_errno() const { return birth_.exec_errno; }
    /// To its whole group.
    void signal(int number) const;
    /// Waits for the end, and ends the processes left in its group.
    [[nodiscard]] End reap() const;
    /// The same, but the processes left behind may live on: a server, for example.
    [[nodiscard]] End reap_alone() const;

  private:
    Process(pid_t pid, UniqueFd pidfd, Birth birth, bool is_forked)
        : pid_(pid), pidfd_(std::move(pidfd)), birth_(birth), is_forked_(is_forked) {}

    pid_t pid_;
    UniqueFd pidfd_;
    Birth birth_;
    bool is_forked_;
};

}  // namespace mayfly
