// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/virtio/pci_host_bridge.h"

#include "firmware/layout.h"

namespace mayfly {

Result<std::unique_ptr<PciHostBridge>> PciHostBridge::create(bool is_window_on) {
    return std::unique_ptr<PciHostBridge>(
        new PciHostBridge(TRY(ConfigWindowMemory::create(is_window_on)), is_window_on));
}

PciHostBridge::PciHostBridge(ConfigWindowMemory memory, bool is_window_on)
    : memory_(std::move(memory)),
      is_window_on_(is_window_on),
      window_(memory_.bytes(), layout::kEcam.value),
      bus_(window_) {}

Result<void> PciHostBridge::add_window(KvmVm& vm, u32 slot) {
    // Without it, guests read the same memory by exits.
    if (!is_window_on_ || vm.check(KVM_CAP_READONLY_MEM) == 0) return {};
    const std::span<std::byte> bytes = memory_.bytes();
    return vm.set_readonly_memory(slot, {layout::kEcam, bytes.size(), bytes.data()});
}

void PciHostBridge::add_wires(Interrupts& interrupts) {
    interrupts.set_level_triggered(layout::kIrqPci);
    for (const u8 line : layout::kIrqPci) wires_.emplace_back(interrupts, line);
}

void PciHostBridge::map_onto(Bus& mmio) {
    mmio.map(layout::kEcam.value, Ecam::kSizeBytes, ecam_.emplace(bus_));
    mmio.set_fallback(pci_memory_.emplace(bus_));
}

void PciHostBridge::map_config_ports(Bus& ports, IoDevice& reset_control) {
    ports.map(ConfigPorts::kPort, ConfigPorts::kSizeBytes, config_ports_.emplace(bus_, &reset_control));
    ports.set_fallback(pci_io_.emplace(bus_));
}

}  // namespace mayfly
