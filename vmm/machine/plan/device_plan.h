// SPDX-License-Identifier: Apache-2.0
// DevicePlan: the place of each virtio device of a machine, known before any device exists, because the
// guest's tables contain it.
//
// Order: disks, networks, console, entropy, shares, each in the order given, so that a guest finds its first
// disk first. Thread: any; values only.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "firmware/tables/acpi.h"
#include "vmm/machine/plan/config.h"
#include "vmm/machine/plan/profile.h"

namespace mayfly {

using MacAddress = std::array<u8, 6>;

enum class DeviceKind : u8 { Disk, Net, Console, Entropy, Share };

struct PciPlace {
    u8 devfn = 0;
    u32 config_address = 0;
    u32 trap_address = 0;
    u16 legacy_port = 0;    ///< 0: none
    u8 interrupt_line = 0;  ///< 0: no pin
};

struct PlannedDevice {
    DeviceKind kind;
    u32 index;         ///< among those of its kind
    std::string name;  ///< "disk0"
    PciPlace pci;
    VirtioMmioSlot mmio;
    MacAddress mac{};  ///< of Net, once choose_macs() has been called
};

struct DevicePlan {
    TransportChoice transport = TransportChoice::Pci;
    std::vector<PlannedDevice> devices;

    [[nodiscard]] bool has_pci() const { return transport == TransportChoice::Pci && !devices.empty(); }
    [[nodiscard]] std::vector<VirtioMmioSlot> mmio_slots() const;
    /// The modules of drivers that Linux needs for these devices.
    [[nodiscard]] std::vector<std::string_view> linux_modules() const;
    /// "virtio_mmio.device=4K@0xc0001000:5 ...", for kernels without ACPI; empty without such devices.
    [[nodiscard]] std::string mmio_words() const;
};

/// The Linux module with the driver of such a device.
[[nodiscard]] std::string_view linux_module(DeviceKind kind);
[[nodiscard]] std::string_view linux_module(TransportChoice transport);

/// Errors: Invalid for more devices than the transport carries, or a transport that the profile lacks.
Result<DevicePlan> plan_devices(const BootConfig& config, const MachineShape& shape, ConsoleDevice console);

/// Gives each network its MAC address: the configured one, or a random one. Errors: Os.
Result<void> choose_macs(const BootConfig& config, DevicePlan& plan);

}  // namespace mayfly
