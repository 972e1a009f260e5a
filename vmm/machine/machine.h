// SPDX-License-Identifier: Apache-2.0
// Machine: one virtual machine, from what the user asked for to why it ended. The place where everything
// meets.
//
// create() makes KVM's objects in the one order that is fast: VM, memory slots, irqchip, vCPUs; io-bus users
// later or never. run() runs vCPU 0 on the calling thread and every other vCPU on a thread of its own;
// besides those there are at most one thread for console input and one for devices that proved hot.
// Thread: the main thread.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "vmm/kvm/host_kind.h"
#include "vmm/machine/boot/guest_images.h"
#include "vmm/machine/lifecycle/early_kvm.h"
#include "vmm/machine/plan/config.h"
#include "vmm/machine/platform.h"
#include "vmm/machine/vcpu/vcpu_thread.h"
#include "vmm/machine/virtio/virtio_devices.h"
#include "vmm/os/thread.h"

namespace mayfly {

/// ConsoleOutput's and DebugPort's; negative for none.
struct OutputFds {
    int console = -1;
    int debug = -1;
};

class Machine {
  public:
    /// All but `early` outlive the machine; `early`
    /// outlives this call. Errors: those of every step, each with what to do; any of them, and Stopped, once
    /// a stop is requested.
    static Result<std::unique_ptr<Machine>> create(const BootConfig& config, OutputFds fds, EarlyKvm& early,
                                                   StopControl& stop, Timeline& timeline);
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;
    ~Machine();

    /// Runs the guest to its end.
    [[nodiscard]] Ending run();

    /// After run(): returns to user space of all vCPUs.
    [[nodiscard]] ExitCounts exit_counts() const;
    [[nodiscard]] const KvmVm& vm() const { return *vm_; }
    [[nodiscard]] const KvmVcpu& vcpu(std::size_t index) const { return vcpus_[index]; }
    [[nodiscard]] std::size_t vcpu_count() const { return vcpus_.size(); }
    [[nodiscard]] VirtioDevices& devices() const { return *devices_; }
    /// Between create() and run(), for its watch.
    [[nodiscard]] ConsoleOutput& console_output() { return *output_; }
    [[nodiscard]] bool have_vcpus_stopped() const { return stop_.threads_inside() == 0; }

  private:
    Machine(const BootConfig& config, StopControl& stop, Timeline& timeline)
        : config_(config), stop_(stop), timeline_(timeline) {}

    Result<void> build(EarlyKvm& early);
    Result<void> load();
    Result<void> write_tables(BootRequest& request) const;
    Result<void> open_images();
    [[nodiscard]] Result<void> pack_program();
    [[nodiscard]] ConsoleDevice choose_console() const;
    [[nodiscard]] bool lacks_early_output() const;
    void add_early_output();
    [[nodiscard]] bool can_read_log(const PrintkRing& ring) const;
    [[nodiscard]] std::string command_line();
    [[nodiscard]] Ending understood(Ending ending) const;
    /// Of a Linux guest, once it has ended; empty where it has not panicked.
    [[nodiscard]] std::string panic_words() const;
    Result<void> add_memory();
    Result<void> add_irqchip();
    Result<void> add_platform();
    Result<void> add_vcpus(EarlyKvm& early);
    Result<void> set_up_vcpu(KvmVcpu& vcpu, CpuidTable cpuid, bool has_tsc_deadline);
    Result<void> connect_console();
    void say_what_was_chosen() const;
    void start_aps();
    /// While what the guest says is being looked at. Before any vCPU runs.
    Result<void> hurry_early_output();
    void wait_for_aps();

    BootConfig config_;
    StopControl& stop_;
    Timeline& timeline_;
    HostKind host_;
    MachineShape shape_;
    KernelChoice choice_;
    bool has_config_ports_ = false;
    bool marks_panics_ = false;
    EntryState entry_;

    // Destroyed from the last to the first: vCPUs before the VM, guest RAM after it.
    std::optional<GuestImages> images_;
    std::optional<Image> vmlinux_;  // a bzImage's payload
    std::optional<GuestRam> ram_;
    std::optional<KvmVm> vm_;
    std::unique_ptr<UserIrqchip> user_irqchip_;
    std::optional<Interrupts> interrupts_;
    std::optional<ConsoleOutput> output_;
    std::optional<DebugPort> debug_;
    // What a virtio console does not carry; one of them at most.
    std::optional<KernelLog> kernel_log_;
    std::optional<EarlyConsole> early_console_;
    ConsoleInput input_;
    std::optional<Platform> platform_;
    std::unique_ptr<VirtioDevices> devices_;
    std::optional<TestDeviceWiring> test_device_;
    std::vector<KvmVcpu> vcpus_;
    std::vector<VcpuContext> contexts_;
    std::vector<Thread> aps_;
};

}  // namespace mayfly
