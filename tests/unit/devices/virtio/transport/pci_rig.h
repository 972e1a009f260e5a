// SPDX-License-Identifier: Apache-2.0
// A virtio device on a PCI bus as a machine has it, and a driver's accesses to it. Offsets and bits are the
// specification's, restated.
#pragma once

#include "devices/virtio/transport/pci_transport.h"
#include "tests/support/driver_queue.h"
#include "tests/support/fake_transport.h"
#include "tests/unit/devices/pci/pci_fixture.h"

namespace mayfly {

// VIRTIO 1.2 §4.1.4.3 "Common configuration structure layout"
namespace common {
constexpr u32 kDeviceFeatureSelect = 0;
constexpr u32 kDeviceFeature = 4;
constexpr u32 kDriverFeatureSelect = 8;
constexpr u32 kDriverFeature = 12;
constexpr u32 kConfigVector = 16;
constexpr u32 kNumQueues = 18;
constexpr u32 kStatus = 20;
constexpr u32 kGeneration = 21;
constexpr u32 kQueueSelect = 22;
constexpr u32 kQueueSize = 24;
constexpr u32 kQueueVector = 26;
constexpr u32 kQueueEnable = 28;
constexpr u32 kQueueNotifyOff = 30;
constexpr u32 kQueueDesc = 32;
constexpr u32 kQueueDriver = 40;
constexpr u32 kQueueDevice = 48;
constexpr u32 kBytes = 56;
}  // namespace common

struct PciRig : PciWorld {
    static constexpr u8 kDevfn = 0x08;
    static constexpr u32 kConfig = 0xe010'0000;  // page 0 of the window
    static constexpr u32 kTrapAddress = 0xc800'0000;
    static constexpr u16 kPort = 0xc000;

    explicit PciRig(bool is_transitional = false, std::vector<u16> queues = {8, 16},
                    std::size_t config_bytes = 12)
        : device(std::move(queues), config_bytes),
          core(device, ram.memory(), worker,
               is_transitional ? VirtioCore::Kind::Transitional : VirtioCore::Kind::Modern),
          transport(core, window.config_space(kDevfn), msi, &pin,
                    {.config_address = kConfig,
                     .trap_address = kTrapAddress,
                     .legacy_port = is_transitional ? kPort : u16{0},
                     .interrupt_line = is_transitional ? u8{10} : u8{0}}) {
        bus.add(kDevfn, transport.function());
    }

    // --- the driver ---

    struct Capability {
        u16 at = 0;
        u8 bar = 0;
        u32 offset = 0;
        u32 length = 0;
    };
    /// The virtio capability of this type, or that with this id (MSI-X) when `type` is 0; at 0 if it is
    /// missing.
    Capability find(u8 type, u8 id = 9) {
        for (u16 at = static_cast<u16>(config(kDevfn, 0x34, 1)); at != 0;
             at = static_cast<u16>(config(kDevfn, static_cast<u16>(at + 1), 1))) {
            if (config(kDevfn, at, 1) != id) continue;
            if (type != 0 && config(kDevfn, static_cast<u16>(at + 3), 1) != type) continue;
            return {at, static_cast<u8>(config(kDevfn, static_cast<u16>(at + 4), 1)),
                    config(kDevfn, static_cast<u16>(at + 8)), config(kDevfn, static_cast<u16>(at + 12))};
        }
        return {};
    }
    u64 get(u32 offset, u8 size_bytes) { return mmio_read(kConfig + offset, size_bytes); }
    void set(u32 offset, u8 size_bytes, u64 value) { mmio_write(kConfig + offset, size_bytes, value); }
    u8 status() { return static_cast<u8>(get(common::kStatus, 1)); }
    void set_status(u8 value) { set(common::kStatus, 1, value); }
    u8 isr() { return static_cast<u8>(mmio_read(kTrapAddress, 1)); }
    void notify(u32 queue, u8 size_bytes = 2) {
        mmio_write(kTrapAddress + 0x800 + queue * 4, size_bytes, queue);
    }
    u64 port(u16 offset, u8 size_bytes) { return pci_io.io_read({u64{kPort} + offset, size_bytes}); }
    void set_port(u16 offset, u8 size_bytes, u64 value) {
        pci_io.io_write({u64{kPort} + offset, size_bytes}, value);
    }

    void accept(u64 features) {
        for (u32 word = 0; word < 2; ++word) {
            set(common::kDriverFeatureSelect, 4, word);
            set(common::kDriverFeature, 4, (features >> (32 * word)) & 0xffff'ffff);
        }
    }
    void set_queue(u16 index, const DriverQueue& with) {
        const QueueSetup setup = with.setup();
        set(common::kQueueSelect, 2, index);
        set(common::kQueueSize, 2, setup.size);
        const auto address = [&](u32 offset, Gpa at) {
            set(offset, 4, at.value & 0xffff'ffff);
            set(offset + 4, 4, at.value >> 32);
        };
        address(common::kQueueDesc, setup.descriptors);
        address(common::kQueueDriver, setup.driver_area);
        address(common::kQueueDevice, setup.device_area);
        set(common::kQueueEnable, 2, 1);
    }
    void start(u64 features = u64{1} << 32) {
        set_status(0);
        set_status(1);
        set_status(3);
        accept(features);
        set_status(11);
        set_queue(0, driver);
        set_status(15);
    }
    /// PCI Local Bus Specification 3.0 §6.8.2 "MSI-X Capability and Table Structures"
    void set_msix(bool is_enabled, bool is_function_masked = false) {
        set_config(kDevfn, static_cast<u16>(find(0, 0x11).at + 2), 2,
                   (is_enabled ? 0x8000U : 0) | (is_function_masked ? 0x4000U : 0));
    }
    void set_entry(u16 vector, u64 address, u32 message, bool is_masked) {
        const u32 entry = 0x800 + vector * 16U;
        set(entry, 4, address & 0xffff'ffff);
        set(entry + 4, 4, address >> 32);
        set(entry + 8, 4, message);
        set(entry + 12, 4, is_masked ? 1 : 0);
    }
    /// One buffer there and back.
    bool round_trip() {
        driver.add(ChainBuilder().writable(data, 16));
        notify(0);
        return driver.take_used().has_value();
    }
    void change_config(std::size_t at, u8 value) {
        const Lock guard(core.mutex());
        device.set_config(at, value);
        core.config_changed();
    }

    TestRam ram{u64{1} << 20};
    FakeVirtioDevice device;
    FakeQueueWorker worker;
    FakeMsiPort msi;
    FakeIrqLine pin;
    VirtioCore core;
    PciTransport transport;
    DriverQueue driver{ram, {.size = 8}};
    Gpa data = ram.allocate(4096);
};

}  // namespace mayfly
