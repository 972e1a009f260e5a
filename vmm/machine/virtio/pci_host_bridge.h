// SPDX-License-Identifier: Apache-2.0
// PciHostBridge: the PCI bus of a machine and the ways to its configuration: ECAM, of which the guest reads a
// window without exits, the configuration ports, and the BARs.
//
// Thread: built by the main thread before any vCPU runs.
#pragma once

#include <deque>
#include <optional>

#include "devices/io/bus.h"
#include "devices/pci/bar_space.h"
#include "devices/pci/config_ports.h"
#include "devices/pci/ecam.h"
#include "vmm/machine/interrupts/intx_wire.h"
#include "vmm/machine/virtio/config_window_memory.h"

namespace mayfly {

class PciHostBridge {
  public:
    /// `is_window_on`: the guest reads the configuration as memory, where KVM can. Errors: Os.
    static Result<std::unique_ptr<PciHostBridge>> create(bool is_window_on);
    PciHostBridge(const PciHostBridge&) = delete;
    PciHostBridge& operator=(const PciHostBridge&) = delete;

    /// The read-only memory slot that holds the configuration; with the other slots, before the irqchip.
    Result<void> add_window(KvmVm& vm, u32 slot);
    /// Two wires for the functions' pins. `interrupts` outlives this object.
    void add_wires(Interrupts& interrupts);
    /// One for even and one for odd device numbers.
    [[nodiscard]] IntxWire& wire_of(u8 devfn) { return wires_[devfn >> 3 & 1]; }

    [[nodiscard]] PciBus& bus() { return bus_; }
    [[nodiscard]] ConfigWindow& window() { return window_; }

    /// Once all functions are on the bus.
    void map_onto(Bus& mmio);
    /// The configuration ports; `reset_control` has the byte at 0xcf9 in the middle of them.
    void map_config_ports(Bus& ports, IoDevice& reset_control);
    /// Null where they do not answer.
    [[nodiscard]] ConfigPorts* config_ports() { return config_ports_ ? &*config_ports_ : nullptr; }

  private:
    PciHostBridge(ConfigWindowMemory memory, bool is_window_on);

    ConfigWindowMemory memory_;
    bool is_window_on_;
    ConfigWindow window_;
    PciBus bus_;
    std::deque<IntxWire> wires_;
    std::optional<Ecam> ecam_;
    std::optional<ConfigPorts> config_ports_;
    std::optional<PciMemory> pci_memory_;
    std::optional<PciIo> pci_io_;
};

}  // namespace mayfly
