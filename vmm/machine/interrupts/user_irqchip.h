// SPDX-License-Identifier: Apache-2.0
// UserIrqchip: the 8259 pair in user space, for a machine without an in-kernel irqchip.
//
// The vCPU takes a vector by KVM_INTERRUPT when its window is open, and asks for the window when it is not.
// Thread: before_run() and wait_for_interrupt() on the one vCPU's thread; set_irq() on any.
// Lock order: the raising device's bus lock, then the PIC's. The PIC's INTR pin takes no lock.
// Spec: Linux Documentation/virt/kvm/api.rst §4.16 "KVM_INTERRUPT"; §5 "The kvm_run structure".
#pragma once

#include <atomic>
#include <memory>

#include "devices/io/bus.h"
#include "devices/platform/pic8259.h"
#include "vmm/kvm/kvm_vcpu.h"
#include "vmm/machine/lifecycle/stop_control.h"
#include "vmm/os/event_fd.h"

namespace mayfly {

class UserIrqchip {
  public:
    static Result<std::unique_ptr<UserIrqchip>> create(StopControl& stop);

    /// Puts the PIC's registers on the bus; the bus's lock for it serialises everything.
    void map_onto(Bus& ports);

    void set_irq(u32 line, bool is_high);

    /// The vCPU waits in an HLT, of which KVM does not know. Set on its thread.
    void set_halted(bool is_halted) { is_halted_.store(is_halted, std::memory_order_release); }
    [[nodiscard]] bool is_halted() const { return is_halted_.load(std::memory_order_acquire); }

    [[nodiscard]] Pic8259::State save() const;
    /// Pic8259's.
    [[nodiscard]] bool restore(const Pic8259::State& state);

    /// Injects a pending interrupt, or asks for the window. Right before KVM_RUN.
    Result<void> before_run(KvmVcpu& vcpu);

    /// After HLT with interrupts on. True: an interrupt is pending or the machine ends; false: only a kick.
    [[nodiscard]] bool wait_for_interrupt();

  private:
    class Intr final : public IrqLine {
      public:
        explicit Intr(UserIrqchip& chip) : chip_(chip) {}
        void set_level(bool is_high) override;

      private:
        UserIrqchip& chip_;
    };

    UserIrqchip(EventFd wake, StopControl& stop)
        : wake_(std::move(wake)), stop_(stop), intr_(*this), pic_(intr_) {}

    EventFd wake_;
    StopControl& stop_;
    std::atomic<bool> is_pending_ = false;
    std::atomic<bool> is_halted_ = false;
    std::atomic<int> vcpu_thread_ = 0;
    Intr intr_;
    Pic8259 pic_;
    Bus* ports_ = nullptr;
};

}  // namespace mayfly
