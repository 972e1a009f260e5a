// SPDX-License-Identifier: Apache-2.0
// MsiVectors: one function's MSI-X messages on their way into KVM.
//
// A vector begins with KVM_SIGNAL_MSI, which needs no route, GSI or eventfd. The first message that the I/O
// thread sends gives it an irqfd: from then on the loop signals it together with others. A message that the
// guest rewrote gets its route the same way, at the next one that is sent; beyond RewiringLimit, by
// KVM_SIGNAL_MSI until then.
// Thread: under the device's lock.
#pragma once

#include <optional>
#include <vector>

#include "devices/io/msi_port.h"
#include "devices/virtio/transport/mmio_transport.h"
#include "vmm/kvm/kvm_vm.h"
#include "vmm/machine/interrupts/interrupts.h"
#include "vmm/machine/io/io_thread.h"

namespace mayfly {

class MsiVectors final : public MsiPort {
  public:
    /// The references outlive this object.
    MsiVectors(KvmVm& vm, Interrupts& interrupts, IoService& service, u16 vector_count)
        : vm_(vm), interrupts_(interrupts), service_(service), vectors_(vector_count) {}

    void set_message(u16 vector, u64 address, u32 data) override;
    MsiPath send(u16 vector) override;

    /// Sent messages are in KVM when this returns. Errors: Os; then a vector uses another path.
    [[nodiscard]] Result<void> flush();

  private:
    /// Of the vector's current message.
    enum class Wiring : u8 {
        Due,
        Done,     ///< the irqfd has a route with it
        Refused,  ///< by KVM, or an irqfd is not available: not tried again
    };
    struct Vector {
        u64 address = 0;
        u32 data = 0;
        Wiring wiring = Wiring::Due;
        std::optional<u32> msi;  ///< its place among the routes
        std::optional<EventFd> irqfd;
    };
    void wire(Vector& vector);
    [[nodiscard]] bool attach(Vector& vector);

    KvmVm& vm_;
    Interrupts& interrupts_;
    IoService& service_;
    std::vector<Vector> vectors_;
};

/// An edge of one pin of the IOAPIC, for virtio-mmio.
class EdgeLine final : public EdgeInterrupt {
  public:
    /// The references outlive this object.
    EdgeLine(KvmVm& vm, const IoService& service, u32 gsi) : vm_(vm), service_(service), gsi_(gsi) {}

    void raise(QueueCounts* counts) override;

    /// As MsiVectors::flush().
    [[nodiscard]] Result<void> flush();

  private:
    KvmVm& vm_;
    const IoService& service_;
    u32 gsi_;
    std::optional<EventFd> irqfd_;
};

}  // namespace mayfly
