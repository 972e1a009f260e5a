// SPDX-License-Identifier: Apache-2.0
// VirtioDevices: every virtio device of a machine, the PCI bus they are on, and the thread that serves them.
//
// Thread: built by the main thread before any vCPU runs.
#pragma once

#include <deque>
#include <memory>

#include "vmm/machine/virtio/device_opening.h"
#include "vmm/machine/virtio/guest_device.h"
#include "vmm/machine/virtio/pci_host_bridge.h"
#include "vmm/threads/mutex.h"

namespace mayfly {

class VirtioDevices {
  public:
    /// Opens what the devices stand for. `plan` outlives this object. Errors: each with the option and the
    /// value.
    static Result<std::unique_ptr<VirtioDevices>> open(const BootConfig& config, const DevicePlan& plan,
                                                       const ConsoleEnds& ends, StopControl& stop);
    VirtioDevices(const VirtioDevices&) = delete;
    VirtioDevices& operator=(const VirtioDevices&) = delete;
    /// Once no vCPU runs, nor any thread that uses a device.
    ~VirtioDevices();

    /// The read-only memory slot that holds the configuration; with the other slots, before the irqchip.
    Result<void> add_window(KvmVm& vm, u32 slot);
    /// Puts the devices on their bus, and that on the machine's. `reset_control` is where the configuration
    /// ports answer: it has the byte at 0xcf9 in the middle of them; null: they do not.
    void build(const DeviceSurroundings& around, Bus& ports, Bus& mmio, IoDevice* reset_control);

    /// No vCPU runs and no helper thread is at a device: has nothing in flight, all that was done published
    /// and its interrupts sent, and the I/O thread parked, until resume(). Errors: a device whose backend is
    /// not done by `deadline_ns` of the monotonic clock, or an I/O thread that is not; then all go on.
    [[nodiscard]] Result<void> pause(u64 deadline_ns);
    void resume();
    /// The machine begins to run: restored devices go on, unless somebody has paused them.
    void begin();
    /// While paused: what they sent is in KVM when this returns. Errors: Os.
    [[nodiscard]] Result<void> flush();
    /// While paused.
    [[nodiscard]] VirtioDevicesState save();
    /// Of new devices, before any vCPU runs: they stand still until begin(). False: of others, or no driver
    /// can have brought them there.
    [[nodiscard]] bool restore(const VirtioDevicesState& state);

    /// Ends the I/O thread, and what backends run beside us, once the vCPUs have stopped.
    void finish();

    [[nodiscard]] IoService& io() { return io_; }
    /// After finish(): null when there was no I/O thread, or it hangs in the host.
    [[nodiscard]] const LoopCounts* loop_counts() const {
        return has_loop_ended_ ? &io_.running()->loop().counts() : nullptr;
    }
    [[nodiscard]] std::deque<GuestDevice>& devices() { return devices_; }
    [[nodiscard]] VirtioConsole* console() const { return console_; }

  private:
    explicit VirtioDevices(StopControl& stop) : io_(stop) {}
    [[nodiscard]] Result<void> drain(u64 deadline_ns);
    void go_on();

    IoService io_;
    bool has_loop_ended_ = false;
    Mutex pause_mutex_;
    bool is_paused_ GUARDED_BY(pause_mutex_) = false;
    bool are_restored_ GUARDED_BY(pause_mutex_) = false;  // and stand still until begin()
    std::unique_ptr<PciHostBridge> pci_;                  // null without PCI
    std::deque<GuestDevice> devices_;
    VirtioConsole* console_ = nullptr;
};

}  // namespace mayfly
