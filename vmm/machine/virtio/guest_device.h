// SPDX-License-Identifier: Apache-2.0
// GuestDevice: one virtio device with everything that makes it one: backend, model, worker, transport.
//
// Thread: built by the main thread; each part then says for itself.
#pragma once

#include <memory>
#include <optional>

#include "devices/virtio/transport/core.h"
#include "devices/virtio/transport/mmio_transport.h"
#include "devices/virtio/transport/pci_transport.h"
#include "vmm/machine/interrupts/msi_vectors.h"
#include "vmm/machine/io/virtio_worker.h"
#include "vmm/machine/plan/device_plan.h"
#include "vmm/machine/virtio/pci_host_bridge.h"
#include "vmm/snapshot/machine_state.h"

namespace mayfly {

/// What a device needs of the machine it goes into; all of it outlives the device.
struct DeviceContext {
    const GuestMemory& memory;
    KvmVm& vm;
    Interrupts& interrupts;
    IoService& io;
    IoChoice io_choice;
};

[[nodiscard]] inline RateLimit limit_of(const RateConfig& config) {
    return {.per_second = config.per_second, .burst = config.burst};
}

/// A device as its backend's opener made it; the parts below are added when the machine is there.
struct DeviceParts {
    std::unique_ptr<Backend> backend;
    std::unique_ptr<VirtioDevice> model;  ///< asks the backend
    bool has_rate_limit = false;
    bool stays_inline = false;    ///< its work may block on the host, or is never much
    bool has_own_thread = false;  ///< its work may block on the host, and needs a thread
};

class GuestDevice {
  public:
    /// `own_io` serves it instead of DeviceContext::io, where it is not null; outlives it.
    GuestDevice(const PlannedDevice& plan, DeviceParts parts, IoService* own_io)
        : plan_(plan), parts_(std::move(parts)), own_io_(own_io) {}
    GuestDevice(const GuestDevice&) = delete;
    GuestDevice& operator=(const GuestDevice&) = delete;

    void put_on_pci(const DeviceContext& context, PciHostBridge& pci);
    void put_on_mmio(const DeviceContext& context, Bus& mmio);

    [[nodiscard]] const PlannedDevice& plan() const { return plan_; }
    [[nodiscard]] VirtioCore& core() { return *core_; }
    [[nodiscard]] const VirtioWorker& worker() const { return *worker_; }
    [[nodiscard]] VirtioDevice& model() { return *parts_.model; }
    [[nodiscard]] IoService* own_io() { return own_io_; }
    /// Drained, while no vCPU runs: what it sent is in KVM when this returns. Errors: Os.
    [[nodiscard]] Result<void> flush();
    [[nodiscard]] VirtioDeviceState save();
    /// Of a new device, which is paused until its core's resume(). False: of another kind, or no driver can
    /// have brought it there.
    [[nodiscard]] bool restore(const VirtioDeviceState& state);

    /// When no loop runs any more.
    void finish() {
        if (parts_.backend != nullptr) parts_.backend->finish();
    }

  private:
    [[nodiscard]] IoService& io(const DeviceContext& context) {
        return own_io_ != nullptr ? *own_io_ : context.io;
    }
    void make_core(const DeviceContext& context, VirtioCore::Kind kind);
    [[nodiscard]] bool restore_model(const VirtioDeviceState& state);
    [[nodiscard]] bool restore_transport(const VirtioDeviceState& state);

    PlannedDevice plan_;
    DeviceParts parts_;
    IoService* own_io_;
    std::optional<VirtioWorker> worker_;
    std::optional<VirtioCore> core_;
    std::optional<MsiVectors> vectors_;
    std::optional<IntxWire::Pin> pin_;
    std::optional<PciTransport> pci_;
    std::optional<EdgeLine> edge_;
    std::optional<MmioTransport> mmio_;
};

}  // namespace mayfly
