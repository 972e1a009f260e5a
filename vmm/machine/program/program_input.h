// SPDX-License-Identifier: Apache-2.0
// ProgramInput: carries mayfly's stdin to the program of --exec.
//
// A stream is read once the program is there, as far ahead as the channel and a pipe have room; its end is
// the program's end of input. Typed input goes through ConsoleInput. Thread: built and finished by the main
// thread.
#pragma once

#include <atomic>
#include <optional>
#include <vector>

#include "vmm/machine/program/null_file.h"
#include "vmm/machine/program/program_channel.h"
#include "vmm/machine/program/ring_reader.h"

namespace mayfly {

class ProgramInput {
  public:
    /// `fd` negative: no input. Not owned.
    ProgramInput(int fd, const ProgramContext& context) : fd_(fd), context_(context) {}
    ProgramInput(const ProgramInput&) = delete;
    ProgramInput& operator=(const ProgramInput&) = delete;
    ~ProgramInput() { end(); }

    /// Once the channel is open. Errors: Os.
    Result<void> start();
    [[nodiscard]] bool has_source() const { return fd_ >= 0; }
    /// The ring may have room. Any thread.
    void on_doorbell();
    void end();

    /// Input that was read and is not in the channel. While the machine is paused.
    [[nodiscard]] std::vector<std::byte> held() const;
    /// Before start().
    void hold(std::span<const std::byte> bytes);

  private:
    enum class Next : u8 { GoOn, Wait, WaitWhilePaused, End };
    void run();
    /// The room in the ring, up to the buffer's size.
    [[nodiscard]] Next look(std::size_t& room_bytes);
    [[nodiscard]] Next read_some(std::size_t room_bytes);
    [[nodiscard]] Next put_held();
    [[nodiscard]] Next judged(ProgramChannel::Outcome outcome) const;
    void await(int fd, int limit_ms) const;

    static constexpr std::size_t kBufferBytes = 256 << 10;

    const int fd_;
    const ProgramContext context_;
    std::optional<EventFd> doorbell_;
    std::optional<Thread> thread_;
    std::atomic<bool> is_over_ = false;
    mutable Mutex mutex_;
    // Read, and not in the channel yet. The thread alone reads into it, while there is nothing held.
    std::vector<std::byte> buffer_;
    std::size_t held_begin_ GUARDED_BY(mutex_) = 0;
    std::size_t held_end_ GUARDED_BY(mutex_) = 0;
};

}  // namespace mayfly
