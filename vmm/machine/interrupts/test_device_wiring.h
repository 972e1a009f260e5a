// SPDX-License-Identifier: Apache-2.0
// TestDeviceWiring: the effects of the test device's registers on a real machine: MSIs, irqfds, an ioeventfd
// that loops back into an irqfd, and coalesced port writes.
//
// Nothing is registered with KVM before the guest asks for it.
// Thread: the device's calls come under its bus lock; begin_exit()/end_exit() on any vCPU thread.
#pragma once

#include <atomic>
#include <optional>

#include "devices/io/bus.h"
#include "devices/platform/test_device.h"
#include "vmm/kvm/kvm_vm.h"
#include "vmm/machine/interrupts/interrupts.h"
#include "vmm/machine/io/rewiring_limit.h"
#include "vmm/machine/lifecycle/guest_gate.h"
#include "vmm/os/event_fd.h"
#include "vmm/threads/mutex.h"
#include "vmm/threads/thread.h"

namespace mayfly {

class TestDeviceWiring final : public TestDeviceHost {
  public:
    /// All outlive this object.
    TestDeviceWiring(KvmVm& vm, Interrupts& interrupts, RewiringLimit& rewiring, const Bus& ports,
                     GuestGate& gate)
        : vm_(vm), interrupts_(interrupts), rewiring_(rewiring), ports_(ports), gate_(gate), device_(*this) {}

    TestDeviceWiring(const TestDeviceWiring&) = delete;
    TestDeviceWiring& operator=(const TestDeviceWiring&) = delete;
    /// Waits for the train, a quarter of a second at most.
    ~TestDeviceWiring() override { end_train(); }

    void map_onto(Bus& ports);

    /// Delivers writes that the kernel collected, before the exit that followed them. \returns whether any
    /// were collected; then call end_exit() after that exit.
    bool begin_exit(const KvmVcpu& vcpu);
    void end_exit();

    /// Nothing is in flight in the kernel when this returns. While no vCPU runs. Errors: Os.
    [[nodiscard]] Result<void> flush(const KvmVcpu& first);
    [[nodiscard]] TestDeviceState save() const;
    /// Before any vCPU runs. False: no guest can have left it so, or KVM refuses.
    [[nodiscard]] bool restore(const TestDeviceState& state);

    void set_irq(u8 gsi, bool is_high) override { interrupts_.set_gsi(gsi, is_high); }
    Status signal_msi(u32 address, u32 data) override;
    Status send_by_irqfd(u32 address, u32 data) override;
    Status set_loopback(bool is_on, u32 address, u32 data) override;
    Status set_coalesced(bool is_on) override;
    void msi_train(u32 address, u32 data, u8 count) override;

  private:
    /// An MSI and the event that sends it.
    struct Line {
        u32 msi_index;
        TestDeviceState::Message message{};
        std::optional<EventFd> event{};
    };
    /// Creates the event and its irqfd the first time, and routes it.
    Result<void> prepare(Line& line, u32 address, u32 data);
    std::size_t drain_ring(const KvmVcpu& vcpu);
    void end_train();

    KvmVm& vm_;
    Interrupts& interrupts_;
    RewiringLimit& rewiring_;
    const Bus& ports_;
    GuestGate& gate_;
    TestDevice device_;
    Line direct_{.msi_index = 0};
    Line loopback_{.msi_index = 1};
    std::atomic<int> ring_page_ = 0;  // 0: nothing is coalesced
    Mutex ring_mutex_;
    std::atomic<u8> train_left_ = 0;
    std::optional<Thread> train_;
};

}  // namespace mayfly
