// SPDX-License-Identifier: Apache-2.0
// PciTransport's interrupts: MSI-X where the driver has switched that on, else the pin.
#include <algorithm>

#include "devices/virtio/transport/pci_spec.h"
#include "devices/virtio/transport/pci_transport.h"

namespace mayfly {

void PciTransport::on_vector_unmasked(u16 vector, u64 address, u32 data) {
    msi_.set_message(vector, address, data);
}

void PciTransport::deliver(u16 vector, u64 /*address*/, u32 /*data*/) {
    // The vector's owner is not known any more; usually each queue has its own vector.
    const auto owner = std::find(queue_vectors_.begin(), queue_vectors_.end(), vector);
    const MsiPath path = msi_.send(vector);
    if (owner != queue_vectors_.end())
        count_sent(path, &core_.queue(static_cast<u16>(owner - queue_vectors_.begin())).counts);
}

void PciTransport::count_sent(MsiPath path, QueueCounts* counts) const {
    if (counts == nullptr) return;
    if (path == MsiPath::Irqfd) ++counts->interrupts_irqfd;
    if (path == MsiPath::SignalMsi) ++counts->interrupts_signal_msi;
}

void PciTransport::raise(u16 vector, u8 isr_bit, QueueCounts* counts) {
    // virtio 1.2 §4.1.4.5.1 "Device Requirements: ISR status capability": the configuration's bit always, the
    // queues' and the pin without MSI-X only.
    const bool has_msix = msix_.is_enabled();
    if (!has_msix || isr_bit == virtio_pci::ISR_CONFIG) state_.isr |= isr_bit;
    if (!has_msix) {
        drive_pin();
        if (has_pin_ && counts != nullptr) ++counts->interrupts_line;
        return;
    }
    if (vector == virtio_pci::NO_VECTOR) return;
    switch (msix_.raise(vector)) {
        case Msix::Raise::Send: return count_sent(msi_.send(vector), counts);
        case Msix::Raise::Pended:
            if (counts != nullptr) ++counts->interrupts_pending;
            return;
        case Msix::Raise::Ignored: return;
    }
}

void PciTransport::interrupt_queue(u16 queue) {
    raise(queue_vectors_[queue], virtio_pci::ISR_QUEUE, &core_.queue(queue).counts);
}

void PciTransport::interrupt_config() { raise(state_.config_vector, virtio_pci::ISR_CONFIG, nullptr); }

}  // namespace mayfly
