// SPDX-License-Identifier: Apache-2.0
// GuestConsole: the host's side of all guest output and typed input: the console's output and input, the
// debug port, and the carriers of a Linux guest's log before its console works.
//
// Thread: built by the main thread; connect() before any vCPU runs; the rest says so.
#pragma once

#include <optional>

#include "vmm/kvm/kvm_vcpu.h"
#include "vmm/machine/console/console.h"
#include "vmm/machine/console/debug_port.h"
#include "vmm/machine/console/early_console.h"
#include "vmm/machine/console/kernel_log.h"
#include "vmm/machine/console/virtio_console.h"

namespace mayfly {

/// ConsoleOutput's and DebugPort's; negative for none.
struct OutputFds {
    int console = -1;
    int debug = -1;
};

class GuestConsole {
  public:
    /// `debugcon` is BootConfig's. `stop` outlives this object, and it every thread.
    GuestConsole(OutputFds fds, std::optional<u64> max_bytes, std::string_view debugcon, StopControl& stop)
        : output_(fds.console, stop, max_bytes), debug_(debugcon, fds.debug, output_, stop), stop_(stop) {}
    GuestConsole(const GuestConsole&) = delete;
    GuestConsole& operator=(const GuestConsole&) = delete;
    ~GuestConsole() { end_threads(); }

    /// One of them at most.
    KernelLog& add_log(const PrintkRing& ring) { return log_.emplace(ring, output_, stop_); }
    EarlyConsole& add_early() { return early_.emplace(output_); }

    [[nodiscard]] ConsoleOutput& output() { return output_; }
    [[nodiscard]] const ConsoleOutput& output() const { return output_; }
    [[nodiscard]] ConsoleInput& input() { return input_; }
    [[nodiscard]] DebugPort& debug() { return debug_; }
    /// Null without a kernel log.
    [[nodiscard]] KernelLog* log() { return log_ ? &*log_ : nullptr; }
    [[nodiscard]] const KernelLog* log() const { return log_ ? &*log_ : nullptr; }
    [[nodiscard]] EarlyConsole* early() { return early_ ? &*early_ : nullptr; }
    [[nodiscard]] ConsoleEnds ends() { return {output_, input_, log()}; }

    /// Input from stdin goes to `deliver`, and a terminal's size to `resize`, which may be empty. A terminal
    /// is raw from now on. Errors: Os.
    Result<void> connect(ConsoleInput::Deliver deliver, ConsoleInput::Resize resize);
    /// While a user or a watch sees the output: kicks the vCPUs from time to time, so that they write it.
    /// `first` is the bootstrap processor; it outlives every thread. Before any vCPU runs. Errors: Os.
    Result<void> start_looking(const KvmVcpu& first);

    // On a vCPU's thread.
    /// Before its exit is handled: characters that KVM collected come first.
    void before_exit(const KvmVcpu& vcpu) {
        if (early_) early_->drain(vcpu);
    }
    /// After the exit: writes the guest's output.
    void after_exit() {
        debug_.flush();
        if (output_.has_pending()) output_.flush_lines();
    }
    /// After a kick that does not end the machine.
    void serve(const KvmVcpu& vcpu);

    /// No vCPU runs: writes the guest's output so far, and returns its position.
    [[nodiscard]] ConsoleState save(const KvmVcpu& first);
    /// Before any vCPU runs. False: of another kind of console.
    [[nodiscard]] bool restore(const ConsoleState& state);

    /// No vCPU runs any more: shows the rest, and gives the terminal back.
    void finish(const KvmVcpu& first);
    /// Waits for the threads of input and looking. The machine has ended.
    void end_threads();

  private:
    ConsoleOutput output_;
    DebugPort debug_;
    StopControl& stop_;
    // Carriers of the log that a virtio console does not show; one of them at most.
    std::optional<KernelLog> log_;
    std::optional<EarlyConsole> early_;
    ConsoleInput input_;
    std::optional<Thread> looker_;
};

}  // namespace mayfly
