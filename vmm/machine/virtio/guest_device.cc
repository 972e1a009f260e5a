// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/virtio/guest_device.h"

namespace mayfly {

void GuestDevice::make_core(const DeviceSurroundings& around, VirtioCore::Kind kind) {
    worker_.emplace(around.io, around.vm,
                    VirtioWorker::Options{.io = parts_.stays_inline ? IoChoice::Inline : around.io_choice,
                                          .has_rate_limit = parts_.has_rate_limit,
                                          .backend = *parts_.backend});
    core_.emplace(*parts_.model, around.memory, *worker_, kind);
}

void GuestDevice::put_on_pci(const DeviceSurroundings& around, PciHostBridge& pci) {
    const PciPlace& place = plan_.pci;
    make_core(around, place.legacy_port != 0 ? VirtioCore::Kind::Transitional : VirtioCore::Kind::Modern);
    vectors_.emplace(around.vm, around.interrupts, around.io, static_cast<u16>(core_->queue_count() + 1));
    if (place.interrupt_line != 0) pin_.emplace(pci.wire_of(place.devfn));
    pci_.emplace(*core_, pci.window().config_space(place.devfn), *vectors_, pin_ ? &*pin_ : nullptr,
                 PciTransportOptions{.config_address = place.config_address,
                                     .live_address = place.live_address,
                                     .legacy_port = place.legacy_port,
                                     .interrupt_line = place.interrupt_line});
    pci.bus().add(place.devfn, pci_->function());
}

void GuestDevice::put_on_mmio(const DeviceSurroundings& around, Bus& mmio) {
    make_core(around, VirtioCore::Kind::Modern);
    edge_.emplace(around.vm, around.io, plan_.mmio.gsi);
    mmio_.emplace(*core_, *edge_, plan_.mmio.base.value);
    mmio.map(plan_.mmio.base.value, MmioTransport::kSizeBytes, *mmio_);
}

}  // namespace mayfly
