// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/virtio/guest_device.h"

namespace mayfly {

void GuestDevice::make_core(const DeviceContext& context, VirtioCore::Kind kind) {
    worker_.emplace(io(context), context.vm,
                    VirtioWorker::Options{.io = parts_.stays_inline ? IoChoice::Inline : context.io_choice,
                                          .has_rate_limit = parts_.has_rate_limit,
                                          .backend = *parts_.backend});
    core_.emplace(*parts_.model, context.memory, *worker_, kind);
}

void GuestDevice::put_on_pci(const DeviceContext& context, PciHostBridge& pci) {
    const PciPlace& place = plan_.pci;
    make_core(context, place.legacy_port != 0 ? VirtioCore::Kind::Transitional : VirtioCore::Kind::Modern);
    vectors_.emplace(context.vm, context.interrupts, io(context), static_cast<u16>(core_->queue_count() + 1));
    if (place.interrupt_line != 0) pin_.emplace(pci.wire_of(place.devfn));
    pci_.emplace(*core_, pci.window().config_space(place.devfn), *vectors_, pin_ ? &*pin_ : nullptr,
                 PciTransportOptions{.config_address = place.config_address,
                                     .trap_address = place.trap_address,
                                     .legacy_port = place.legacy_port,
                                     .interrupt_line = place.interrupt_line});
    pci.bus().add(place.devfn, pci_->function());
}

void GuestDevice::put_on_mmio(const DeviceContext& context, Bus& mmio) {
    make_core(context, VirtioCore::Kind::Modern);
    edge_.emplace(context.vm, io(context), plan_.mmio.gsi);
    mmio_.emplace(*core_, *edge_, plan_.mmio.base.value);
    mmio.map(plan_.mmio.base.value, MmioTransport::kSizeBytes, *mmio_);
}

Result<void> GuestDevice::flush() {
    const Lock lock(core_->mutex());
    if (vectors_) TRY_VOID(vectors_->flush());
    return edge_ ? edge_->flush() : Result<void>();
}

VirtioDeviceState GuestDevice::save() {
    VirtioDeviceState state;
    if (pci_) {
        state.transport = pci_->save();
    } else {
        state.transport = mmio_->save();
    }
    const Lock lock(core_->mutex());
    state.core = core_->save();
    switch (plan_.kind) {
        case DeviceKind::Disk: state.model = static_cast<Block&>(*parts_.model).save(); break;
        case DeviceKind::Net: state.model = static_cast<Net&>(*parts_.model).save(); break;
        case DeviceKind::Console: state.model = static_cast<Console&>(*parts_.model).save(); break;
        case DeviceKind::Entropy:
        case DeviceKind::Share: break;  // Machine::save() refuses one
    }
    return state;
}

bool GuestDevice::restore(const VirtioDeviceState& state) {
    {
        const Lock lock(core_->mutex());
        if (!core_->restore(state.core) || !restore_model(state)) return false;
    }
    return restore_transport(state);
}

bool GuestDevice::restore_model(const VirtioDeviceState& state) {
    switch (plan_.kind) {
        case DeviceKind::Disk: {
            const auto* disk = std::get_if<Block::State>(&state.model);
            if (disk != nullptr) static_cast<Block&>(*parts_.model).restore(*disk);
            return disk != nullptr;
        }
        case DeviceKind::Net: {
            const auto* net = std::get_if<Net::State>(&state.model);
            return net != nullptr && static_cast<Net&>(*parts_.model).restore(*net);
        }
        case DeviceKind::Console: {
            const auto* console = std::get_if<Console::State>(&state.model);
            return console != nullptr && static_cast<Console&>(*parts_.model).restore(*console);
        }
        case DeviceKind::Entropy: return std::holds_alternative<std::monostate>(state.model);
        case DeviceKind::Share: return false;
    }
    return false;
}

bool GuestDevice::restore_transport(const VirtioDeviceState& state) {
    if (pci_) {
        const auto* pci = std::get_if<PciTransport::State>(&state.transport);
        return pci != nullptr && pci_->restore(*pci);
    }
    const auto* mmio = std::get_if<MmioTransport::State>(&state.transport);
    return mmio != nullptr && mmio_->restore(*mmio);
}

}  // namespace mayfly
