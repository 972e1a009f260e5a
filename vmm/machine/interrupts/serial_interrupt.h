// SPDX-License-Identifier: Apache-2.0
// SerialInterrupt: the I/O APIC in user space of a machine whose LAPICs alone are in the kernel, and the one
// line that leads to it.
//
// Thread: set_level() on any, under the UART's lock. Lock order: the raising device's bus lock, then the I/O
// APIC's.
#pragma once

#include "devices/io/bus.h"
#include "devices/io/irq_line.h"
#include "devices/io/msi_port.h"
#include "devices/platform/io_apic.h"
#include "vmm/kvm/kvm_vm.h"

namespace mayfly {

class SerialInterrupt {
  public:
    /// `vm` outlives this object.
    explicit SerialInterrupt(KvmVm& vm) : messages_(vm), chip_(messages_) {}

    /// Puts the registers on the bus; the bus's lock for them serialises everything.
    void map_onto(Bus& mmio);
    void set_level(bool is_high);
    [[nodiscard]] IoApic::State save() const;
    /// IoApic's.
    [[nodiscard]] bool restore(const IoApic::State& state);

  private:
    /// Every message by KVM_SIGNAL_MSI: no route, no eventfd.
    class Messages final : public MsiPort {
      public:
        explicit Messages(KvmVm& vm) : vm_(vm) {}
        void set_message(u16 vector, u64 address, u32 data) override;
        MsiPath send(u16 vector) override;

      private:
        KvmVm& vm_;
        u64 address_ = 0;
        u32 data_ = 0;
    };

    Messages messages_;
    IoApic chip_;
    Bus* mmio_ = nullptr;
};

}  // namespace mayfly
