// SPDX-License-Identifier: Apache-2.0
// VirtioDevices: every virtio device of a machine, the PCI bus they are on, and the threads that serve them.
//
// Thread: built by the main thread before any vCPU runs.
#pragma once

#include <deque>
#include <list>
#include <memory>

#include "vmm/machine/virtio/device_opening.h"
#include "vmm/machine/virtio/guest_device.h"
#include "vmm/machine/virtio/pci_host_bridge.h"
#include "vmm/threads/mutex.h"

namespace mayfly {

class VirtioDevices {
  public:
    /// Opens the devices' backends. `plan` outlives this object. Errors: each with the option and the value.
    static Result<std::unique_ptr<VirtioDevices>> open(const BootConfig& config, const DevicePlan& plan,
                                                       const ConsoleEnds& ends, StopControl& stop);
    VirtioDevices(const VirtioDevices&) = delete;
    VirtioDevices& operator=(const VirtioDevices&) = delete;
    /// Once no vCPU runs, nor any thread that uses a device.
    ~VirtioDevices();

    /// The read-only memory slot that holds the configuration; with the other slots, before the irqchip.
    Result<void> add_window(KvmVm& vm, u32 slot);
    /// Puts the devices on their bus, and that bus on the machine's. `reset_control` is where the
    /// configuration ports answer: it has the byte at 0xcf9 in the middle of them; null: they do not.
    void build(const DeviceContext& context, Bus& ports, Bus& mmio, IoDevice* reset_control);

    /// No vCPU runs and no helper thread is at a device: has nothing in flight, all that was done published
    /// and its interrupts sent, and the I/O threads parked, until resume(). Errors: a device whose backend is
    /// not done by `deadline_ns` of the monotonic clock, or an I/O thread that is not; then all go on.
    [[nodiscard]] Result<void> pause(u64 deadline_ns);
    void resume();
    /// The machine begins to run: restored devices go on, unless they are paused.
    void begin();
    /// While paused: what they sent is in KVM when this returns. Errors: Os.
    [[nodiscard]] Result<void> flush();
    /// While paused.
    [[nodiscard]] VirtioDevicesState save();
    /// Of new devices, before any vCPU runs: they stand still until begin(). False: of others, or no driver
    /// can have brought them there.
    [[nodiscard]] bool restore(const VirtioDevicesState& state);

    /// Ends the I/O threads, and what backends run beside us, once the vCPUs have stopped. A thread whose I/O
    /// hangs in the host ends with the process, or the destructor waits for it.
    void finish();

    /// Of all devices that have none of their own.
    [[nodiscard]] IoService& io() { return io_; }
    [[nodiscard]] RewiringLimit& rewiring() { return rewiring_; }
    [[nodiscard]] std::deque<GuestDevice>& devices() { return devices_; }
    [[nodiscard]] VirtioConsole* console() const { return console_; }

  private:
    explicit VirtioDevices(StopControl& stop) : io_(stop, rewiring_) {}
    /// Calls `visit` with each I/O thread that there is.
    template <typename Visit>
    void for_each_thread(Visit visit) {
        if (IoThread* const thread = io_.running()) visit(*thread);
        for (IoService& io : own_io_)
            if (IoThread* const thread = io.running()) visit(*thread);
    }
    [[nodiscard]] Result<void> drain(u64 deadline_ns);
    void go_on();
    /// For all together, a second at most.
    void await_threads();

    RewiringLimit rewiring_;
    IoService io_;
    std::list<IoService> own_io_;  // one for each device that wants it; empty, it allocates nothing
    Mutex pause_mutex_;
    bool is_paused_ GUARDED_BY(pause_mutex_) = false;
    bool are_restored_ GUARDED_BY(pause_mutex_) = false;  // and stand still until begin()
    std::unique_ptr<PciHostBridge> pci_;                  // null without PCI
    std::deque<GuestDevice> devices_;
    VirtioConsole* console_ = nullptr;
};

}  // namespace mayfly
