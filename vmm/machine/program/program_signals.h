// SPDX-License-Identifier: Apache-2.0
// ProgramSignals: what becomes of signals that mayfly gets while a program of --exec runs.
//
// They go to the program. After the first SIGINT or SIGTERM it has some time to end; then, or at a second
// SIGINT, it is killed with all that it started. A guest that does not see to that is ended.
// Thread: as said.
#pragma once

#include <chrono>
#include <optional>

#include "vmm/machine/lifecycle/stop_control.h"
#include "vmm/machine/program/program_channel.h"
#include "vmm/os/event_fd.h"
#include "vmm/threads/thread.h"

namespace mayfly {

class ProgramSignals {
  public:
    /// Both outlive it.
    ProgramSignals(ProgramChannel& channel, StopControl& stop, std::chrono::milliseconds grace)
        : channel_(channel), stop_(stop), grace_(grace) {}
    ProgramSignals(const ProgramSignals&) = delete;
    ProgramSignals& operator=(const ProgramSignals&) = delete;
    ~ProgramSignals() { end(); }

    /// Once the channel is open: signals are the program's from now on.
    void open() { stop_.signals().open(); }
    /// Passes on what has come. On a vCPU's thread, after a kick.
    void pass();
    void end();

  private:
    /// The program has until then.
    void begin_grace(int number);
    void kill();
    /// On a thread of its own: \returns when the machine ends.
    void wait_and_kill(int number);
    /// False: the time is over.
    [[nodiscard]] bool is_hurried_within(std::chrono::milliseconds limit) const;

    ProgramChannel& channel_;
    StopControl& stop_;
    const std::chrono::milliseconds grace_;
    Mutex mutex_;
    std::optional<EventFd> hurry_ GUARDED_BY(mutex_);
    std::optional<Thread> thread_ GUARDED_BY(mutex_);
    std::atomic<const EventFd*> hurries_ = nullptr;  // the same, once the thread is to be there
    std::atomic<bool> is_over_ = false;
};

}  // namespace mayfly
