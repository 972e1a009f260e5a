// SPDX-License-Identifier: Apache-2.0
// GuestDevice: one virtio device with everything that makes it one: backend, model, worker, transport.
//
// Thread: built by the main thread; then as each part says.
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

/// The machine's objects that a device needs; all outlive the device.
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

/// A device as its backend's opener made it; the parts below are added when the machine exists.
struct DeviceParts {
    std::unique_ptr<Backend> backend;
    std::unique_ptr<VirtioDevice> model;  ///< uses the backend
    bool has_rate_limit = false;
    bool stays_inline = false;    ///< its work may block on the host, or is always small
    bool has_own_thread = false;  ///< its work may block on the host, and needs a thread
};

class GuestDevice {
  public:
    /// `own_io`, where it is not null, serves the device instead of DeviceContext::io; it outlives the
    /// device.
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
    /// Drained, while no vCPU runs: its interrupts are in KVM when this returns. Errors: Os.
    [[nodiscard]] Result<void> flush();
    [[nodiscard]] VirtioDeviceState save();
    /// For a new device, which is paused until its core's resume(). False: the state is of another kind of
    /// device, or no driver can have caused it.
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
