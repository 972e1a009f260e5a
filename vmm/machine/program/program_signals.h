// SPDX-License-Identifier: Apache-2.0
// ProgramSignals: passes mayfly's signals to the program of --exec.
//
// After the first SIGINT or SIGTERM the program has a grace period; then, or at a second SIGINT, it is killed
// with all its children. A guest that fails to kill it is ended. After that, a slow reader of the remaining
// output has the same grace period. Runs a thread of its own: the vCPUs may be waiting for a reader. Thread:
// built and ended by the main thread; start() a vCPU's too.
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
    /// Init copies files: no program is left to kill. A requested end comes after the grace period, counted
    /// from now, or at a second SIGINT. Any thread.
    void on_program_ended();

  private:
    enum class Stage : u8 { Running, Grace, Killed, Leaving };

    void run();
    /// Waits until a signal comes or the stage's time is over.
    void await();
    void pass_on();
    void enter(Stage stage, std::chrono::milliseconds limit);
    void send(channel::Message message);
    /// Begins the next stage.
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
