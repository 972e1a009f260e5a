// SPDX-License-Identifier: Apache-2.0
// ProgramOutput: what the program of --exec writes to one of its streams, on its way to one of ours.
//
// A thread of its own takes it out of the channel and writes it, so that a slow reader of one stream slows
// that stream alone; a reader that has gone is told to init, which closes the program's end.
// Thread: built and finished by the main thread.
#pragma once

#include <atomic>
#include <optional>
#include <vector>

#include "vmm/machine/console/console.h"
#include "vmm/machine/program/null_file.h"
#include "vmm/machine/program/program_channel.h"
#include "vmm/threads/thread.h"

namespace mayfly {

class ProgramOutput {
  public:
    struct Surroundings {
        ProgramChannel& channel;
        StopControl& stop;
    };
    /// Both outlive it. `fd` is not owned.
    ProgramOutput(channel::RingName ring, int fd, const Surroundings& around);
    ProgramOutput(const ProgramOutput&) = delete;
    ProgramOutput& operator=(const ProgramOutput&) = delete;
    ~ProgramOutput() { end(); }

    [[nodiscard]] ConsoleOutput& sink() { return sink_; }
    /// Once the channel is open. Errors: Os.
    Result<void> start();
    /// There may be something in the ring. Any thread.
    void on_doorbell();
    /// Nothing is on its way from the ring to the reader: false where that is still so at `deadline_ns`.
    /// While the machine is paused.
    [[nodiscard]] bool await_written(u64 deadline_ns) const;
    /// No vCPU runs any more: what is left goes out, and then the thread ends.
    void begin_to_finish();
    /// Waits for that; when the end is abrupt, no longer than the reader takes something.
    void await_end();
    /// Waits for the thread, which leaves the rest where it is.
    void end();

  private:
    void run();
    /// \returns how long to wait then, in milliseconds; nothing at the end.
    [[nodiscard]] std::optional<int> step();
    void await_doorbell(int limit_ms) const;
    void end_stream();

    static constexpr std::size_t kBufferBytes = 64 << 10;

    const channel::RingName ring_;
    const int fd_;
    const Surroundings around_;
    ConsoleOutput sink_;
    std::optional<EventFd> doorbell_;
    std::optional<EventFd> ended_;
    std::optional<Thread> thread_;
    std::vector<std::byte> buffer_;  // the thread's
    bool has_left_ = false;          // too: nobody reads, and init is to know
    std::atomic<bool> is_writing_ = false;
    std::atomic<bool> is_finishing_ = false;
    std::atomic<bool> is_over_ = false;
};

}  // namespace mayfly
