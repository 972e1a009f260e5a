// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/virtio_devices.h"

#include <sys/resource.h>

#include "firmware/layout.h"

namespace mayfly {

namespace {

/// Queues that prove hot take two descriptors each; when, the guest decides. The soft limit is for programs
/// that use select(2).
void allow_all_files() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

Result<std::unique_ptr<VirtioDevices>> VirtioDevices::open(const BootConfig& config,
                                                           const MachineShape& shape, const ConsoleEnds& ends,
                                                           StopControl& stop) {
    std::unique_ptr<VirtioDevices> self(new VirtioDevices(stop));
    self->plan_ = TRY(plan_devices(config, shape));
    if (!self->plan_.devices.empty()) allow_all_files();
    std::vector<DeviceParts> parts = TRY(open_devices(config, self->plan_, ends, stop, self->console_));
    for (std::size_t i = 0; i < parts.size(); ++i)
        self->devices_.emplace_back(self->plan_.devices[i], std::move(parts[i]));
    self->is_window_on_ = config.has_config_window;
    // Now, while another thread waits for KVM_CREATE_VM.
    if (self->plan_.has_pci())
        self->window_memory_.emplace(TRY(ConfigWindowMemory::create(self->is_window_on_)));
    return self;
}

Result<void> VirtioDevices::add_window(KvmVm& vm, u32 slot) {
    if (!plan_.has_pci()) return {};
    // Without it, guests read the same memory by exits.
    if (!is_window_on_ || vm.check(KVM_CAP_READONLY_MEM) == 0) return {};
    const std::span<std::byte> bytes = window_memory_->bytes();
    return vm.set_readonly_memory(slot, {layout::kEcam, bytes.size(), bytes.data()});
}

void VirtioDevices::finish() {
    IoThread* const thread = io_.running();
    if (thread != nullptr) has_loop_ended_ = thread->finish();
    // A thread that hangs in the host has them still.
    if (thread != nullptr && !has_loop_ended_) return;
    for (GuestDevice& device : devices_) device.finish();
}

void VirtioDevices::build(const DeviceSurroundings& around, Bus& ports, Bus& mmio, IoDevice& reset_control,
                          bool has_config_ports) {
    if (plan_.has_pci()) return build_pci(around, ports, mmio, reset_control, has_config_ports);
    for (GuestDevice& device : devices_) {
        device.put_on_mmio(around, mmio);
        if (device.plan().kind == DeviceKind::Console) console_->set_core(device.core());
    }
}

void VirtioDevices::build_pci(const DeviceSurroundings& around, Bus& ports, Bus& mmio,
                              IoDevice& reset_control, bool has_config_ports) {
    window_.emplace(window_memory_->bytes(), layout::kEcam.value);
    bus_.emplace(*window_);
    around.interrupts.set_level_triggered(layout::kIrqPci);
    for (const u8 line : layout::kIrqPci) wires_.emplace_back(around.interrupts, line);
    for (GuestDevice& device : devices_) {
        const bool has_pin = device.plan().pci.interrupt_line != 0;
        IntxWire* wire = has_pin ? &wires_[device.plan().pci.devfn >> 3 & 1] : nullptr;
        device.put_on_pci(around, *bus_, *window_, wire);
        if (device.plan().kind == DeviceKind::Console) console_->set_core(device.core());
    }
    mmio.map(layout::kEcam.value, Ecam::kSizeBytes, ecam_.emplace(*bus_));
    mmio.set_fallback(pci_memory_.emplace(*bus_));
    if (!has_config_ports) return;
    ports.map(ConfigPorts::kPort, ConfigPorts::kSizeBytes, config_ports_.emplace(*bus_, &reset_control));
    ports.set_fallback(pci_io_.emplace(*bus_));
}

}  // namespace mayfly
