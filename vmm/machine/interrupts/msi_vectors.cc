// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/interrupts/msi_vectors.h"

#include "vmm/error/verify.h"

namespace mayfly {

void MsiVectors::set_message(u16 vector, u64 address, u32 data) {
    // no guest: Msix has at most as many vectors as GuestDevice::put_on_pci() made here, and compares.
    VERIFY(vector < vectors_.size());
    Vector& entry = vectors_[vector];
    if (entry.address == address && entry.data == data) return;
    entry.address = address;
    entry.data = data;
    entry.wiring = Wiring::Due;
}

void MsiVectors::wire(Vector& vector) {
    if (!vector.msi) {
        vector.msi = interrupts_.allocate_msi();
    } else if (!service_.rewiring().take()) {
        return;
    }
    // All routes may be taken, and KVM refuses a message that is not valid on x86.
    const bool is_done = vector.msi &&
                         interrupts_.route_msi(*vector.msi, vector.address, vector.data).has_value() &&
                         attach(vector);
    vector.wiring = is_done ? Wiring::Done : Wiring::Refused;
}

bool MsiVectors::attach(Vector& vector) {
    if (vector.irqfd) return true;
    Result<EventFd> event = EventFd::create();
    if (!event || !vm_.attach_irqfd(*event, Interrupts::kMsiGsiBase + *vector.msi)) return false;
    vector.irqfd.emplace(std::move(*event));
    return true;
}

Result<void> MsiVectors::flush() {
    for (Vector& vector : vectors_) {
        if (!vector.irqfd) continue;
        Result<void> flushed = vm_.flush_irqfd(*vector.irqfd, Interrupts::kMsiGsiBase + *vector.msi);
        if (flushed) continue;
        vector.irqfd.reset();
        vector.wiring = Wiring::Refused;
        return flushed;
    }
    return {};
}

MsiPath MsiVectors::send(u16 vector) {
    // no guest: Msix has at most as many vectors as GuestDevice::put_on_pci() made here, and compares.
    VERIFY(vector < vectors_.size());
    Vector& entry = vectors_[vector];
    const bool is_io_thread = service_.is_current();
    if (is_io_thread && entry.wiring == Wiring::Due) wire(entry);
    if (entry.wiring != Wiring::Done) {
        // A message that KVM refuses never arrives, as on hardware.
        const Result<MsiResult> sent = vm_.signal_msi(entry.address, entry.data);
        return sent ? MsiPath::SignalMsi : MsiPath::Lost;
    }
    if (is_io_thread) {
        service_.running()->loop().signal(*entry.irqfd);
    } else {
        entry.irqfd->signal();
    }
    return MsiPath::Irqfd;
}

Result<void> EdgeLine::flush() {
    if (!irqfd_) return {};
    Result<void> flushed = vm_.flush_irqfd(*irqfd_, gsi_);
    if (!flushed) irqfd_.reset();
    return flushed;
}

void EdgeLine::raise(QueueCounts* counts) {
    if (!irqfd_) {
        Result<EventFd> event = EventFd::create();
        if (!event || !vm_.attach_irqfd(*event, gsi_)) {
            // Without a spare descriptor, two ioctls make the edge.
            if (vm_.set_irq_line(gsi_, true) && vm_.set_irq_line(gsi_, false) && counts != nullptr)
                ++counts->interrupts_line;
            return;
        }
        irqfd_.emplace(std::move(*event));
    }
    if (service_.is_current()) {
        service_.running()->loop().signal(*irqfd_);
    } else {
        irqfd_->signal();
    }
    if (counts != nullptr) ++counts->interrupts_irqfd;
}

}  // namespace mayfly
