// SPDX-License-Identifier: Apache-2.0
// Console: the guest's serial port, debug port and virtio console on stdio or in a file.
//
// Output is gathered per exit, or per line where a pipe or a file takes it (line_hold.h), and written by the
// vCPU thread: a slow reader slows the guest, nothing is dropped. Input has a thread of its own, started when
// the guest first looks at its receiver, or at once on a terminal, where Ctrl-A x must always work. Lock
// order: the device's lock, then the output lock.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "devices/io/byte_sink.h"
#include "devices/uart/uart16550.h"
#include "vmm/machine/console/line_hold.h"
#include "vmm/machine/console/terminal_questions.h"
#include "vmm/machine/lifecycle/stop_control.h"
#include "vmm/os/event_fd.h"
#include "vmm/threads/mutex.h"
#include "vmm/threads/thread.h"
#include "vmm/watch/console_watch.h"

namespace mayfly {

/// Any thread; internally locked.
class ConsoleOutput final : public ByteSink {
  public:
    /// `fd` negative: bytes go only to a watch and last_bytes(). Not owned. Bytes beyond `max_bytes` are
    /// dropped as well, and counted.
    ConsoleOutput(int fd, StopControl& stop, std::optional<u64> max_bytes = std::nullopt)
        : fd_(fd), stop_(stop), room_bytes_(max_bytes.value_or(~u64{0})), hold_(fd) {}

    /// Shows `watch` all bytes from now on, wherever they go. Before any vCPU runs; it outlives this object.
    void set_watch(ConsoleWatch* watch, WatchSource source = WatchSource::Console) {
        watch_ = watch;
        watch_source_ = source;
    }
    /// The machine survives the loss of its reader: has_lost_reader() tells. Before any byte.
    void tell_of_lost_reader() { tells_of_lost_reader_ = true; }
    /// The name in messages. Before any byte; `name` outlives this object.
    void set_name(std::string_view name) { name_ = name; }
    [[nodiscard]] bool has_lost_reader() const { return has_lost_reader_.load(std::memory_order_relaxed); }

    /// Looks for questions to a terminal from now on. Before any vCPU runs.
    void look_for_questions() { looks_for_questions_ = true; }
    /// After the last byte: whether the terminal may still be about to answer one.
    [[nodiscard]] bool has_asked_lately() const;
    [[nodiscard]] int fd() const { return fd_; }

    /// Whether a watch, or a user at a terminal, sees the bytes as they come.
    [[nodiscard]] bool is_looked_at() const;

    void put(u8 byte) override;
    void put(std::span<const u8> bytes);
    /// Writes the gathered bytes. A lost reader ends the machine (HostError).
    void flush();
    /// The same where a terminal reads it; else of whole lines, while the beginning of one waits for its end,
    /// up to LineHold::kHoldNs. On a vCPU's thread.
    void flush_lines();
    /// On a vCPU's thread, after a kick: writes what has waited for long enough.
    void look();
    /// The same for these bytes, which last_bytes() leaves out.
    void pass(std::span<const u8> bytes);
    /// The last 4 KiB of output, or more. Once no more output comes.
    [[nodiscard]] std::string_view last_bytes() const {
        const Lock guard(mutex_);
        return {buffer_.data(), used_};
    }
    [[nodiscard]] bool has_pending() const { return has_pending_.load(std::memory_order_relaxed); }
    /// The bytes that the limit has dropped. After the last flush().
    [[nodiscard]] u64 cut_bytes() const {
        const Lock guard(mutex_);
        return cut_bytes_;
    }

  private:
    static constexpr std::size_t kKeptBytes = 4096;
    static constexpr std::size_t kBufferBytes = kKeptBytes + 4096;
    void flush_locked() REQUIRES(mutex_);
    /// Has those see it who look for something in it: at once, however it is written.
    void show(std::span<const u8> fresh) REQUIRES(mutex_);
    void show_pending() REQUIRES(mutex_);
    void write_out(std::span<const u8> fresh) REQUIRES(mutex_);
    [[nodiscard]] std::span<const u8> gathered(std::size_t from, std::size_t to) const REQUIRES(mutex_);
    /// Flushes a full buffer, and keeps its end.
    void make_room() REQUIRES(mutex_);

    int fd_;
    StopControl& stop_;
    ConsoleWatch* watch_ = nullptr;
    WatchSource watch_source_ = WatchSource::Console;
    bool tells_of_lost_reader_ = false;
    std::string_view name_ = "the guest's console";
    std::atomic<bool> has_lost_reader_ = false;
    bool looks_for_questions_ = false;
    TerminalQuestions questions_ GUARDED_BY(mutex_);
    u64 asked_ns_ GUARDED_BY(mutex_) = 0;
    mutable Mutex mutex_;
    std::atomic<bool> has_pending_ = false;
    u64 room_bytes_ GUARDED_BY(mutex_);
    u64 cut_bytes_ GUARDED_BY(mutex_) = 0;
    std::size_t used_ GUARDED_BY(mutex_) = 0;
    std::size_t flushed_ GUARDED_BY(mutex_) = 0;  // up to here; it stays for last_bytes()
    std::size_t shown_ GUARDED_BY(mutex_) = 0;    // to show(); not before flushed_
    LineHold hold_ GUARDED_BY(mutex_);
    std::array<char, kBufferBytes> buffer_ GUARDED_BY(mutex_);
};

/// Of a terminal, in characters; zeroes when unknown.
struct WindowSize {
    u16 columns = 0;
    u16 rows = 0;
    friend bool operator==(const WindowSize&, const WindowSize&) = default;
};
[[nodiscard]] WindowSize window_size(int terminal);

/// The first line on a terminal whose keys go to the guest. Before it is raw.
void tell_how_to_leave();

/// Reads the user's input, on a thread of its own, and hands it to the console device.
class ConsoleInput {
  public:
    ConsoleInput() = default;
    ConsoleInput(const ConsoleInput&) = delete;
    ConsoleInput& operator=(const ConsoleInput&) = delete;
    ~ConsoleInput() { end(); }

    /// Takes as many of the bytes as it has room for; takes the device's lock itself. Empty: the device is
    /// busy, try again soon. It must not wait: Ctrl-A x has to get through.
    using Deliver = std::function<std::optional<std::size_t>(std::span<const u8>)>;
    /// False: try again soon.
    using Resize = std::function<bool(WindowSize)>;

    struct Wiring {
        int fd = -1;               ///< negative: no input
        bool is_terminal = false;  ///< read from the start, Ctrl-A x quits, and its size is watched
        Deliver deliver;
        Resize resize;  ///< on the input's thread, when the size has changed; may be empty
    };
    /// Before any vCPU runs; `stop` outlives this object. Errors: Os, where the host has no thread for a
    /// terminal.
    Result<void> connect(Wiring wiring, StopControl& stop);
    /// The device has room. Any thread, one at a time. Without effect before connect().
    void want();
    /// Waits, not for long, until the terminal behind `output_fd` has answered all questions, so that no
    /// answer is left for the next reader. The guest has ended; input that comes is dropped.
    void settle(int output_fd);
    /// Waits for the thread, which then delivers no more input. Once no vCPU runs.
    void end();

  private:
    Result<void> start();
    void read_loop();
    /// Ends the machine, and kicks it until the process is gone, or end().
    void quit();
    /// Looks for the answer to settle()'s own question.
    void look_for_answer(std::span<const u8> bytes);
    /// Takes what is for mayfly out of `bytes`: Ctrl-A and a key. True when the user asked to quit.
    bool filter(std::vector<u8>& bytes);

    void watch_size();
    /// Tells the device a new size. False: the device was busy.
    bool follow_size();

    Wiring wiring_;
    bool is_after_escape_ = false;
    WindowSize size_;
    StopControl* stop_ = nullptr;
    std::optional<EventFd> wake_;
    bool is_started_ = false;  // under the device's lock, or before vCPUs run
    std::optional<Thread> thread_;
    std::atomic<bool> is_over_ = false;
    std::optional<EventFd> answered_;
    std::atomic<bool> is_settling_ = false;
    std::string answer_;  // its end may be the beginning of an answer
};

/// The host side of the UART.
class SerialConsole final : public SerialHost {
  public:
    SerialConsole(ByteSink& output, ConsoleInput& input) : output_(output), input_(input) {}

    void put(u8 byte) override { output_.put(byte); }
    void on_input_wanted() override {
        if (is_connected_) input_.want();
    }
    /// Makes the UART the console that gets typed input. Before any vCPU runs.
    void connect() { is_connected_ = true; }

  private:
    ByteSink& output_;
    ConsoleInput& input_;
    bool is_connected_ = false;
};

}  // namespace mayfly
