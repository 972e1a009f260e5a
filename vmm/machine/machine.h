// SPDX-License-Identifier: Apache-2.0
// Machine: one virtual machine, from the user's options to its ending. It connects all other parts.
//
// create() makes KVM's objects in the one order that is fast: VM, memory slots, irqchip, vCPUs; io-bus users
// later or never.
//
// All threads that a machine can have. "visits": pause() keeps it out (GuestGate).
//
//   thread          started by                        ended by              touches of the guest
//   vCPU 0          who calls run()                   leaves run()          memory, devices: its exits
//   vCPU n          run()                             run(), or ~Vcpus()    the same
//   I/O             IoService, for a device's need    IoThread::stop()      memory, devices; parked
//   I/O of a share  the same, one for each of them    IoThread::stop()      the same
//   console input   ConsoleInput, when it is wanted   ~Machine()            the console; visits
//   looker          GuestConsole::start_looking()     ~Machine()            the kernel's log; visits
//   debug hold      DebugPort, at its first byte      ~DebugPort()          nothing: it kicks
//   KVM's answers   KvmHost::start_check()            ~KvmHost()            nothing
//   program streams ProgramStreams, as init opens     ~Machine()            init's channel; visit
//   program signals ProgramStreams, as init opens     ~Machine()            init's channel; visits
//   snapshot        Snapshotter::start()              finish()              memory, devices; it pauses
//   8254            Interrupts::create(), legacy      ~Interrupts()         how KVM reinjects
//   MSI train       the test device, when asked       ~TestDeviceWiring()   interrupts; visits
//
// The streams are in, out, error and, where some are copied out, files.
// Beside it: ConsoleWatch has one for prompts, passt is a process, and io_uring's workers are the kernel's.
// The fast way out of the process, _exit, waits for none of them.
// Thread: the main thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "vmm/machine/boot/machine_plan.h"
#include "vmm/machine/console/guest_console.h"
#include "vmm/machine/lifecycle/kvm_host.h"
#include "vmm/machine/platform.h"
#include "vmm/machine/program/program_streams.h"
#include "vmm/machine/vcpu/vcpus.h"
#include "vmm/machine/virtio/virtio_devices.h"

namespace mayfly {

/// The parts that a machine is made from, with its memory's content.
struct MachineParts {
    BootConfig config;
    MachinePlan plan;
    GuestImages images;  ///< they tell why a guest panicked
    GuestRam ram;
};

class Machine {
  public:
    /// All outlive the machine. Errors: those of every step, each with a remedy; any of them, and Stopped,
    /// once a stop is requested.
    static Result<std::unique_ptr<Machine>> create(const BootConfig& config, OutputFds fds, StopControl& stop,
                                                   Timeline& timeline);
    /// Makes a machine in the saved state of another, with nothing loaded: run() continues there. `parts.ram`
    /// holds the content of that machine's memory. Errors: those of create(); Invalid where this machine
    /// cannot have the state.
    static Result<std::unique_ptr<Machine>> restore(MachineParts parts, const MachineState& state,
                                                    OutputFds fds, StopControl& stop, Timeline& timeline);
    /// Whether save() can be meant to succeed. Errors: Invalid, with the option that keeps it from that.
    static Result<void> check_carriable(const BootConfig& config);
    /// Destroys a machine that has ended, or never ran.
    static MachineParts take_apart(std::unique_ptr<Machine> machine);
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;
    /// Of a machine that has ended, or never ran. Waits for all its threads.
    ~Machine();

    /// Runs the guest to its end.
    [[nodiscard]] Ending run();

    /// Returns when the guest stands still: each vCPU is out of KVM_RUN with what KVM had in flight
    /// completed, each device is drained, its interrupts are in KVM, and none of our threads is inside guest
    /// memory. Errors: Stopped, once the machine ends; a part that did not stop within `limit`: then all
    /// parts go on. While another thread is in run(), or before; one thread at a time.
    [[nodiscard]] Result<void> pause(std::chrono::milliseconds limit);
    /// After pause().
    void resume();
    /// After pause(): the machine's state, without its memory. The machine may then be resumed, or ended.
    /// Errors: Host, Os; Invalid with a shared directory. After an error it may be resumed.
    [[nodiscard]] Result<MachineState> save();

    [[nodiscard]] const KvmVm& vm() const { return *vm_; }
    [[nodiscard]] const BootConfig& config() const { return config_; }
    [[nodiscard]] const GuestRam& ram() const { return *ram_; }
    /// With the place of the kernel's log, where that was not looked for before.
    [[nodiscard]] MachinePlan plan() const;
    [[nodiscard]] const Vcpus& vcpus() const { return vcpus_; }
    [[nodiscard]] VirtioDevices& devices() const { return *devices_; }
    /// Shows `watch` all output of the guest. Between create() and run(); it outlives the machine's threads.
    void set_watch(ConsoleWatch* watch);
    /// Called once: by a vCPU when the program of --exec runs, with BootConfig's tells_start; without a
    /// program when the guest's first instruction is next. Between create() and run().
    void set_on_running(std::function<void()> tell);
    [[nodiscard]] const ConsoleOutput& console_output() const { return streams_.console.output(); }
    /// Of a Linux guest that has ended so: a line for each device that no driver took, with what helps.
    [[nodiscard]] std::vector<std::string> untaken_devices(const Ending& ending) const;
    [[nodiscard]] bool have_vcpus_stopped() const { return outside_.stop.vcpus().threads_inside() == 0; }

  private:
    Machine(const BootConfig& config, MachinePlan plan, GuestImages images, std::unique_ptr<KvmHost> kvm,
            OutputFds fds, StopControl& stop, Timeline& timeline);

    Result<void> build();
    Result<void> build_restored(const MachineState& state, GuestRam ram);
    Result<void> add_hardware();
    Result<void> restore_parts(const MachineState& state);
    void adopt_ram(GuestRam ram);
    void add_early_output();
    Result<void> add_ram();
    Result<void> add_memory_slots();
    Result<void> add_irqchip();
    Result<void> add_platform();
    Result<void> set_up_vcpus(const EntryState& entry);
    Result<void> connect_console();
    void resume_vcpus();
    [[nodiscard]] Ending resolved_ending(Ending ending) const;
    /// Of a Linux guest, once it has ended; empty where it has not panicked.
    [[nodiscard]] std::string panic_words() const;
    [[nodiscard]] std::optional<PrintkRing> printk_ring() const;

    /// Of the process; they outlive the machine.
    struct Outside {
        StopControl& stop;
        Timeline& timeline;
        std::function<void()> on_running{};  ///< of a guest without a program of ours
    };

    /// The guest's output and input.
    struct Streams {
        GuestConsole console;
        std::optional<ProgramStreams> program;  ///< of our init
    };

    const BootConfig config_;
    const MachinePlan plan_;
    Outside outside_;
    // Destroyed from the last to the first: vCPUs before the VM, guest RAM after it.
    GuestImages images_;
    std::unique_ptr<KvmHost> kvm_;
    std::optional<GuestRam> ram_;
    std::optional<KvmVm> vm_;
    std::unique_ptr<Interrupts> interrupts_;
    Streams streams_;
    std::optional<Platform> platform_;
    std::unique_ptr<VirtioDevices> devices_;
    Vcpus vcpus_;
};

}  // namespace mayfly
