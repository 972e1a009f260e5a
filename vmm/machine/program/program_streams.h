// SPDX-License-Identifier: Apache-2.0
// ProgramStreams: connects the program of --exec to our stdin, stdout and stderr.
//
// They are pipes for the program, or a terminal of its own where both stdin and stdout are one. Our init
// opens the channel when it runs; nothing is read before. Init also reports its errors here. Thread: built
// and finished by the main thread; as InitPortSink a vCPU's.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "devices/platform/init_port.h"
#include "vmm/machine/console/console.h"
#include "vmm/machine/program/program_channel.h"
#include "vmm/machine/program/program_files.h"
#include "vmm/machine/program/program_input.h"
#include "vmm/machine/program/program_output.h"
#include "vmm/machine/program/program_signals.h"

namespace mayfly {

class ProgramStreams final : private InitPortSink {
  public:
    struct Options {
        bool has_terminal = false;
        std::chrono::milliseconds grace{0};  ///< ProgramSignals'
        std::vector<CopyOut> copies_out{};
    };
    /// `wake_init` has it look for work. All outlive this object.
    ProgramStreams(const GuestMemory& memory, StopControl& stop, const Options& options,
                   std::function<void()> wake_init);
    ProgramStreams(const ProgramStreams&) = delete;
    ProgramStreams& operator=(const ProgramStreams&) = delete;
    ~ProgramStreams() override { end_threads(); }

    [[nodiscard]] InitPort& port() { return port_; }
    void set_watch(ConsoleWatch* watch);
    /// Called once, by a vCPU, when init says that the program runs.
    void set_on_running(std::function<void()> tell) { on_running_ = std::move(tell); }

    /// Checks that the program's files have a place. Errors: Invalid, Os: where they lack one.
    Result<void> open_files() { return files_.open(); }
    /// Before any vCPU runs. A terminal is raw from now on. Errors: Os.
    Result<void> connect();
    /// Waits until nothing is on its way to a reader; false if something still is at `deadline_ns`. While
    /// paused.
    [[nodiscard]] bool await_written(u64 deadline_ns) const;
    /// No vCPU runs any more: writes the program's output, unless the end is abrupt.
    void finish();
    void end_threads();
    /// The machine's ending, once finished.
    [[nodiscard]] Ending judged(Ending ending) const { return files_.judged(std::move(ending)); }

    /// Whether the program's files are being copied, which a restored machine could not continue.
    [[nodiscard]] bool is_copying_out() const { return files_.has_begun(); }

    /// While no vCPU runs, and no thread visits.
    [[nodiscard]] ProgramState save() const;
    /// Before connect(). False: no guest can have left it so.
    [[nodiscard]] bool restore(const ProgramState& state);

  private:
    void on_open(u32 header_frame) override;
    void on_doorbell(u8 wishes) override;
    void on_text(u8 byte) override;

    Result<void> start_threads();
    [[nodiscard]] std::optional<std::size_t> type(std::span<const u8> bytes);
    [[nodiscard]] bool resize(WindowSize size);

    struct Outputs {
        ProgramOutput out;
        ProgramOutput error;
    };

    StopControl& stop_;
    const bool has_terminal_;
    InitPort port_;
    ProgramChannel channel_;
    Outputs outputs_;
    ProgramFiles files_;
    ProgramInput input_;
    ConsoleInput typed_;  // instead, from a terminal
    ProgramSignals signals_;
    bool is_open_ = false;
    std::function<void()> on_running_;
    InitText text_;
};

}  // namespace mayfly
