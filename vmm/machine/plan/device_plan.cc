// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/plan/device_plan.h"

#include <algorithm>

#include <sys/random.h>

#include <fmt/format.h>

#include "devices/virtio/transport/pci_transport.h"
#include "firmware/layout.h"

namespace mayfly {

namespace {

constexpr u32 kSlots = 31;  // slot 0 is the host bridge
constexpr u32 kFunctionsPerSlot = 8;
/// The I/O BARs of transitional devices end with the ports.
constexpr u32 kLegacyMax = (0x1'0000 - layout::kPortPciIo) / PciTransport::kLegacyBytes;

void add(DevicePlan& plan, DeviceKind kind, u32 count, std::string_view name) {
    for (u32 index = 0; index < count; ++index)
        plan.devices.push_back({.kind = kind,
                                .index = index,
                                .name = fmt::format("{}{}", name, index),
                                .pci = {},
                                .mmio = {},
                                .mac = {}});
}

/// virtio 1.2 §4.1.2 "PCI Device Discovery": a file system device has no transitional id.
bool has_legacy_interface(DeviceKind kind) { return kind != DeviceKind::Share; }

/// Device numbers rise in the order of devices, whether or not they share slots as functions.
Result<void> place_on_pci(DevicePlan& plan, bool is_legacy) {
    const u32 count = static_cast<u32>(plan.devices.size());
    const u32 count_max = is_legacy ? kLegacyMax : kSlots * kFunctionsPerSlot;
    if (count > count_max)
        return fail(Error::invalid(fmt::format("{} devices; the bus carries at most {}", count, count_max)));
    const u32 per_slot = (count + kSlots - 1) / kSlots;
    for (u32 i = 0; i < count; ++i) {
        const u32 slot = 1 + i / per_slot;
        PciPlace& place = plan.devices[i].pci;
        place.devfn = static_cast<u8>(slot << 3 | i % per_slot);
        place.config_address = static_cast<u32>(layout::kPciConfigPages.value + i * kPageBytes);
        place.trap_address = static_cast<u32>(layout::kPciMemory.value + i * kPageBytes);
        if (!is_legacy) continue;
        if (has_legacy_interface(plan.devices[i].kind))
            place.legacy_port = static_cast<u16>(layout::kPortPciIo + i * PciTransport::kLegacyBytes);
        place.interrupt_line = layout::kIrqPci[slot % 2];
    }
    return {};
}

Result<void> place_on_mmio(DevicePlan& plan, Irqchip irqchip) {
    if (irqchip == Irqchip::None)
        return fail(Error::invalid("--transport mmio needs an IOAPIC, which --irqchip none lacks")
                        .hint("--irqchip full"));
    if (irqchip != Irqchip::Full)
        return fail(Error::invalid("--transport mmio needs interrupt pins, which the modern profile lacks")
                        .hint("--profile legacy, or leave the profile to mayfly"));
    if (plan.devices.size() > layout::kIrqVirtioMmio.size())
        return fail(Error::invalid(fmt::format("{} devices; --transport mmio carries at most {}",
                                               plan.devices.size(), layout::kIrqVirtioMmio.size()))
                        .hint("--transport pci"));
    for (u32 i = 0; i < plan.devices.size(); ++i)
        plan.devices[i].mmio = {.base = layout::kVirtioMmio + i * kPageBytes,
                                .gsi = layout::kIrqVirtioMmio[i]};
    return {};
}

/// Locally administered, so that it cannot be a real card's; random, because two machines may share a bridge.
Result<MacAddress> make_mac() {
    MacAddress mac{};
    if (::getrandom(mac.data(), mac.size(), 0) != static_cast<ssize_t>(mac.size()))
        return fail(Error::os("getrandom"));
    mac[0] = static_cast<u8>((mac[0] & ~1) | 2);
    return mac;
}

}  // namespace

std::vector<VirtioMmioSlot> DevicePlan::mmio_slots() const {
    std::vector<VirtioMmioSlot> slots;
    if (transport != TransportChoice::Mmio) return slots;
    for (const PlannedDevice& device : devices) slots.push_back(device.mmio);
    return slots;
}

std::string_view linux_module(DeviceKind kind) {
    switch (kind) {
        case DeviceKind::Disk: return "virtio_blk";
        case DeviceKind::Net: return "virtio_net";
        case DeviceKind::Console: return "virtio_console";
        case DeviceKind::Entropy: return "virtio_rng";
        case DeviceKind::Share: return "virtiofs";
    }
    return {};
}

std::string_view linux_module(TransportChoice transport) {
    return transport == TransportChoice::Pci ? "virtio_pci" : "virtio_mmio";
}

std::vector<std::string_view> DevicePlan::linux_modules() const {
    if (devices.empty()) return {};
    std::vector<std::string_view> names{linux_module(transport)};
    for (const PlannedDevice& device : devices) {
        const std::string_view name = linux_module(device.kind);
        if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
    return names;
}

std::string DevicePlan::mmio_words() const {
    std::string words;
    for (const VirtioMmioSlot& slot : mmio_slots())
        words += fmt::format("{}virtio_mmio.device=4K@{:#x}:{}", words.empty() ? "" : " ", slot.base.value,
                             slot.gsi);
    return words;
}

Result<DevicePlan> plan_devices(const BootConfig& config, const MachineShape& shape, ConsoleDevice console) {
    DevicePlan plan;
    plan.transport = config.transport;
    add(plan, DeviceKind::Disk, static_cast<u32>(config.disks.size()), "disk");
    add(plan, DeviceKind::Net, static_cast<u32>(config.nets.size()), "net");
    add(plan, DeviceKind::Console, console == ConsoleDevice::Virtio ? 1 : 0, "console");
    add(plan, DeviceKind::Entropy, config.has_rng ? 1 : 0, "rng");
    add(plan, DeviceKind::Share, static_cast<u32>(config.shares.size()), "share");
    const bool is_legacy = shape.profile == Profile::Legacy;
    if (plan.transport == TransportChoice::Mmio) {
        if (!plan.devices.empty()) TRY_VOID(place_on_mmio(plan, shape.irqchip));
    } else {
        TRY_VOID(place_on_pci(plan, is_legacy));
    }
    return plan;
}

Result<void> choose_macs(const BootConfig& config, DevicePlan& plan) {
    for (PlannedDevice& device : plan.devices) {
        if (device.kind != DeviceKind::Net) continue;
        const std::optional<MacAddress>& asked_for = config.nets[device.index].mac;
        device.mac = asked_for ? *asked_for : TRY(make_mac());
    }
    return {};
}

}  // namespace mayfly
