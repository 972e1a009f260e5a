// SPDX-License-Identifier: Apache-2.0
// Console: the guest's serial port and debug port on stdio or in a file.
//
// Output is gathered per exit and written by the vCPU thread: a slow reader slows the guest, nothing is
// dropped. Input has a thread of its own, started when the guest first looks at its receiver, or at once on a
// terminal, where Ctrl-A x must always work. Lock order: the UART's bus lock, then the output lock.
#pragma once

#include <array>
#include <atomic>
#include <mutex>
#include <optional>
#include <vector>

#include "devices/io/bus.h"
#include "devices/uart/uart16550.h"
#include "vmm/machine/stop_control.h"
#include "vmm/os/event_fd.h"
#include "vmm/os/thread.h"

namespace mayfly {

/// Any thread; internally locked.
class ConsoleOutput final : public ByteSink {
  public:
    /// `fd` negative: bytes are dropped. Not owned.
    ConsoleOutput(int fd, StopControl& stop) : fd_(fd), stop_(stop) {}

    void put(u8 byte) override;
    /// Writes what was gathered. A reader that is gone ends the machine (HostError).
    void flush();
    [[nodiscard]] bool has_pending() const { return has_pending_.load(std::memory_order_relaxed); }

  private:
    static constexpr std::size_t kBufferBytes = 4096;
    void flush_locked();

    int fd_;
    StopControl& stop_;
    std::mutex mutex_;
    std::atomic<bool> has_pending_ = false;
    std::size_t used_ = 0;
    std::array<u8, kBufferBytes> buffer_;
};

/// The host side of the UART.
class SerialConsole final : public SerialHost {
  public:
    explicit SerialConsole(ConsoleOutput& output) : output_(output) {}

    void put(u8 byte) override { output_.put(byte); }
    void on_input_wanted() override;

    /// Connects the receiver. `is_terminal`: read from the start, and Ctrl-A x quits. Before any vCPU runs.
    Result<void> connect_input(int fd, bool is_terminal, Uart16550& uart, const Bus& ports,
                               StopControl& stop);

  private:
    void start();
    void read_loop();
    /// Ends the machine and sees to it until the process is gone.
    [[noreturn]] void quit();
    /// Takes the escape sequences out of `bytes`. True when the user asked to quit.
    bool filter(std::vector<u8>& bytes);
    void deliver(std::vector<u8>& pending);

    ConsoleOutput& output_;
    int fd_ = -1;
    bool is_terminal_ = false;
    bool is_after_escape_ = false;
    Uart16550* uart_ = nullptr;
    const Bus* ports_ = nullptr;
    StopControl* stop_ = nullptr;
    std::optional<EventFd> wake_;
    bool is_started_ = false;  // under the UART's bus lock, or before vCPUs run
};

}  // namespace mayfly
