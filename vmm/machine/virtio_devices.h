// SPDX-License-Identifier: Apache-2.0
// VirtioDevices: every virtio device of a machine, the PCI bus they are on, and the thread that serves them.
//
// Thread: built by the main thread before any vCPU runs.
#pragma once

#include <deque>
#include <memory>
#include <optional>

#include "devices/io/bus.h"
#include "devices/pci/bar_space.h"
#include "devices/pci/config_ports.h"
#include "devices/pci/ecam.h"
#include "vmm/machine/config_window_memory.h"
#include "vmm/machine/device_opening.h"
#include "vmm/machine/guest_device.h"

namespace mayfly {

class VirtioDevices {
  public:
    /// Opens what the devices stand for. Errors: each with the option and the value.
    static Result<std::unique_ptr<VirtioDevices>> open(const BootConfig& config, const MachineShape& shape,
                                                       const ConsoleEnds& ends, StopControl& stop);
    VirtioDevices(const VirtioDevices&) = delete;
    VirtioDevices& operator=(const VirtioDevices&) = delete;

    [[nodiscard]] const DevicePlan& plan() const { return plan_; }
    /// The read-only memory slot that holds the configuration; with the other slots, before the irqchip.
    Result<void> add_window(KvmVm& vm, u32 slot);
    /// Puts the devices on their bus, and that on the machine's. `reset_control` has the byte at 0xcf9 in the
    /// middle of the configuration ports.
    void build(const DeviceSurroundings& around, Bus& ports, Bus& mmio, IoDevice& reset_control,
               bool has_config_ports);

    /// Ends the I/O thread, and what backends run beside us, once the vCPUs have stopped.
    void finish();

    [[nodiscard]] IoService& io() { return io_; }
    /// After finish(): null when there was no I/O thread, or it hangs in the host.
    [[nodiscard]] const LoopCounts* loop_counts() const {
        return has_loop_ended_ ? &io_.running()->loop().counts() : nullptr;
    }
    [[nodiscard]] std::deque<GuestDevice>& devices() { return devices_; }
    [[nodiscard]] VirtioConsole* console() const { return console_; }

  private:
    explicit VirtioDevices(StopControl& stop) : io_(stop) {}
    void build_pci(const DeviceSurroundings& around, Bus& ports, Bus& mmio, IoDevice& reset_control,
                   bool has_config_ports);

    DevicePlan plan_;
    IoService io_;
    std::optional<ConfigWindowMemory> window_memory_;
    bool is_window_on_ = false;
    bool has_loop_ended_ = false;
    std::optional<ConfigWindow> window_;
    std::optional<PciBus> bus_;
    std::optional<Ecam> ecam_;
    std::optional<ConfigPorts> config_ports_;
    std::optional<PciMemory> pci_memory_;
    std::optional<PciIo> pci_io_;
    std::deque<IntxWire> wires_;
    std::deque<GuestDevice> devices_;
    VirtioConsole* console_ = nullptr;
};

}  // namespace mayfly
