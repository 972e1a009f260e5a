// SPDX-License-Identifier: Apache-2.0
// ProgramSignals: what becomes of signals that mayfly gets while a program of --exec runs.
//
// They go to the program. After the first SIGINT or SIGTERM it has some time to end; then, or at a second
// SIGINT, it is killed with all that it started. A guest that does not see to that is ended. When it has,
// whoever is slow to take what is left of it has that time too. By a thread of its own: the vCPUs may be
// waiting for a reader. Thread: built and ended by the main thread; start() a vCPU's too.
#pragma once

#include <atomic>
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

    /// Once the channel is open: signals are the program's from now on. Errors: Os.
    Result<void> start();
    void end();
    /// Init copies its files: nobody is left to kill. Whoever has asked for an end gets it when the grace is
    /// over, from now on, or with a second SIGINT. Any thread.
    void on_program_ended();

  private:
    enum class Stage : u8 { Running, Grace, Killed, Leaving };

    void run();
    /// Until a signal comes or the stage's time is over.
    void await();
    void pass_on();
    void enter(Stage stage, std::chrono::milliseconds limit);
    void send(channel::Message message);
    /// To what comes when the stage's time is over.
    void go_on();

    ProgramChannel& channel_;
    StopControl& stop_;
    const std::chrono::milliseconds grace_;
    std::optional<EventFd> wake_;
    std::optional<Thread> thread_;
    std::atomic<bool> is_over_ = false;
    std::atomic<bool> has_program_ended_ = false;  // tells the thread once
    // The thread's.
    Stage stage_ = Stage::Running;
    u64 deadline_ns_ = 0;  // of a stage but the first
    int ended_by_ = 0;     // the signal that began the grace
    bool is_copying_ = false;
};

}  // namespace mayfly
