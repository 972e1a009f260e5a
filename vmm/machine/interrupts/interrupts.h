// SPDX-License-Identifier: Apache-2.0
// Interrupts: the interrupt controllers of a machine and the routes to them.
//
// Split: LAPICs in the kernel, MSIs, no io-bus registration, and an IOAPIC with one pin in user space, for
// the serial port. Full: IOAPIC, 8259s and the 8254 in the kernel as well. None: an 8259 pair in user space.
// Thread: create() on the main thread; the rest on any, internally locked.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "devices/io/irq_line.h"
#include "vmm/kvm/kvm_vm.h"
#include "vmm/machine/interrupts/serial_interrupt.h"
#include "vmm/machine/interrupts/user_irqchip.h"
#include "vmm/machine/plan/profile.h"
#include "vmm/snapshot/machine_state.h"
#include "vmm/threads/mutex.h"
#include "vmm/threads/thread.h"

namespace mayfly {

class Interrupts {
  public:
    /// MSIs that travel by irqfd have GSIs from here on, above every IOAPIC pin.
    static constexpr u32 kMsiGsiBase = 24;
    static constexpr u32 kMsisMax = 256;
    /// The first of them are the test device's.
    static constexpr u32 kTestDeviceMsis = 2;

    /// Makes the controllers. After every memory slot, before the first vCPU. `pit_reinjects` is of the 8254
    /// of a full irqchip. `vm` and `stop` outlive the object. Errors: KVM's; Os.
    static Result<std::unique_ptr<Interrupts>> create(KvmVm& vm, Irqchip kind, bool pit_reinjects,
                                                      StopControl& stop);
    Interrupts(const Interrupts&) = delete;
    Interrupts& operator=(const Interrupts&) = delete;
    ~Interrupts();

    [[nodiscard]] Irqchip kind() const { return kind_; }
    /// Of a machine without controllers in the kernel; null for the others.
    [[nodiscard]] UserIrqchip* user() { return user_.get(); }
    /// The registers of the controller in user space: an IOAPIC, or the 8259s. Before any vCPU runs.
    void map_onto(Bus& ports, Bus& mmio);
    /// Drives an ISA or IOAPIC input. Does nothing where the machine lacks that pin.
    void set_gsi(u32 gsi, bool is_high);
    /// The line of one ISA device.
    [[nodiscard]] IrqLine& serial_line() { return serial_line_; }

    /// Makes GSI kMsiGsiBase + `index` send this MSI. Skips the ioctl when nothing changed.
    Result<void> route_msi(u32 index, u64 address, u32 data);
    /// Makes the 8259s of a full irqchip take these lines as levels, as firmware does for PCI's. Before the
    /// guest runs.
    void set_level_triggered(std::span<const u8> irqs);
    /// The state of controllers outside the kernel. While nothing drives a line.
    [[nodiscard]] InterruptsState save();
    /// Once the kernel has its controllers' state, before any device drives a line. False: no guest can have
    /// left it so.
    [[nodiscard]] bool restore(const InterruptsState& state);

    /// A free index for route_msi(); empty when all are taken.
    [[nodiscard]] std::optional<u32> allocate_msi();

  private:
    class GsiLine final : public IrqLine {
      public:
        GsiLine(Interrupts& interrupts, u32 gsi) : interrupts_(interrupts), gsi_(gsi) {}
        void set_level(bool is_high) override;
        [[nodiscard]] bool is_high() const { return is_high_; }
        /// Without telling the controllers, which know the level already.
        void restore(bool is_high) { is_high_ = is_high; }

      private:
        Interrupts& interrupts_;
        u32 gsi_;
        bool is_high_ = false;  // under the device's bus lock
    };
    struct Msi {
        bool is_routed = false;
        u64 address = 0;
        u32 data = 0;
    };
    Interrupts(KvmVm& vm, Irqchip kind, std::unique_ptr<UserIrqchip> user);
    Result<void> make_in_kernel(bool pit_reinjects);
    Result<void> install_routes() REQUIRES(mutex_);
    void stop_pit_reinjection();

    KvmVm& vm_;
    Irqchip kind_;
    std::unique_ptr<UserIrqchip> user_;      // None only
    std::optional<SerialInterrupt> serial_;  // Split only
    GsiLine serial_line_;
    std::optional<Thread> pit_thread_;
    Mutex mutex_;
    std::vector<Msi> msis_ GUARDED_BY(mutex_) = std::vector<Msi>(kTestDeviceMsis);
};

}  // namespace mayfly
