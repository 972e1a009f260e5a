// SPDX-License-Identifier: Apache-2.0
// GuestDevice: one virtio device with everything that makes it one: backend, model, worker, transport.
//
// Thread: built by the main thread; each part then says for itself.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "devices/pci/pci_bus.h"
#include "devices/virtio/core.h"
#include "devices/virtio/mmio_transport.h"
#include "devices/virtio/pci_transport.h"
#include "vmm/machine/device_plan.h"
#include "vmm/machine/intx_wire.h"
#include "vmm/machine/msi_vectors.h"
#include "vmm/machine/virtio_worker.h"

namespace mayfly {

/// What a device needs of the machine it goes into; all of it outlives the device.
struct DeviceSurroundings {
    const GuestMemory& memory;
    KvmVm& vm;
    Interrupts& interrupts;
    IoService& io;
    IoChoice io_choice;
};

/// A device as its backend's opener made it; the parts below are added when the machine is there.
struct DeviceParts {
    /// Keeps the backend, whatever its type.
    std::shared_ptr<void> backend;
    std::shared_ptr<VirtioDevice> model;
    VirtioWorker::Attach attach;
    std::function<void()> finish{};  ///< when no loop runs any more; may be empty
    bool has_rate_limit = false;
    bool stays_inline = false;  ///< its work may block on the host, or is never much
};

class GuestDevice {
  public:
    GuestDevice(const PlannedDevice& plan, DeviceParts parts) : plan_(plan), parts_(std::move(parts)) {}
    GuestDevice(const GuestDevice&) = delete;
    GuestDevice& operator=(const GuestDevice&) = delete;

    void put_on_pci(const DeviceSurroundings& around, PciBus& bus, ConfigWindow& window, IntxWire* wire);
    void put_on_mmio(const DeviceSurroundings& around, Bus& mmio);

    [[nodiscard]] const PlannedDevice& plan() const { return plan_; }
    [[nodiscard]] VirtioCore& core() { return *core_; }
    [[nodiscard]] const VirtioWorker& worker() const { return *worker_; }
    [[nodiscard]] VirtioDevice& model() { return *parts_.model; }
    void finish() {
        if (parts_.finish) parts_.finish();
    }

  private:
    void make_core(const DeviceSurroundings& around, VirtioCore::Kind kind);

    PlannedDevice plan_;
    DeviceParts parts_;
    std::optional<VirtioWorker> worker_;
    std::optional<VirtioCore> core_;
    std::optional<MsiVectors> vectors_;
    std::optional<IntxWire::Pin> pin_;
    std::optional<PciTransport> pci_;
    std::optional<EdgeLine> edge_;
    std::optional<MmioTransport> mmio_;
};

}  // namespace mayfly
