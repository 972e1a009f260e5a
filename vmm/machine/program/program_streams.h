// SPDX-License-Identifier: Apache-2.0
// ProgramStreams: what the program of --exec reads and writes, and our stdin, stdout and stderr.
//
// They are pipes for the program, or a terminal of its own where both stdin and stdout are one. Our init
// opens the channel when it runs; nothing is read before. It also says here what it could not do. Thread:
// built and finished by the main thread; as InitPortSink a vCPU's.
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
    /// `wake_init` has it look around. All outlive this object.
    ProgramStreams(const GuestMemory& memory, StopControl& stop, const Options& options,
                   std::function<void()> wake_init);
    ProgramStreams(const ProgramStreams&) = delete;
    ProgramStreams& operator=(const ProgramStreams&) = delete;
    ~ProgramStreams() override { end_threads(); }

    [[nodiscard]] InitPort& port() { return port_; }
    void set_watch(ConsoleWatch* watch);
    /// Called once, by a vCPU, when init says that the program runs.
    void set_on_running(std::function<void()> tell) { on_running_ = std::move(tell); }

    /// Looks whether there is a place for the program's files. Errors: Invalid, Os: where there is none.
    Result<void> open_files() { return files_.open(); }
    /// Before any vCPU runs. A terminal is raw from now on. Errors: Os.
    Result<void> connect();
    /// Nothing is on its way to a reader: false where that is still so at `deadline_ns`. While paused.
    [[nodiscard]] bool await_written(u64 deadline_ns) const;
    /// No vCPU runs any more: what the program wrote goes out, unless the end is abrupt.
    void finish();
    void end_threads();
    /// The machine's end, once finished.
    [[nodiscard]] Ending judged(Ending ending) const { return files_.judged(std::move(ending)); }

    /// The program's files are on their way: nobody could go on with that.
    [[nodiscard]] bool is_copying_out() const { return files_.has_begun(); }

    /// While no vCPU runs, nor a thread that visits.
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

    StopControl& stop_;
    const bool has_terminal_;
    InitPort port_;
    ProgramChannel channel_;
    ProgramOutput output_;
    ProgramOutput error_;
    ProgramFiles files_;
    ProgramInput input_;
    ConsoleInput typed_;  // instead, from a terminal
    ProgramSignals signals_;
    bool is_open_ = false;
    std::function<void()> on_running_;
    InitText text_;
};

}  // namespace mayfly
