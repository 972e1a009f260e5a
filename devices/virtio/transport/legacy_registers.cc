// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/transport/legacy_registers.h"

#include "devices/virtio/queue/queue_spec.h"
#include "devices/virtio/transport/pci_spec.h"
#include "devices/virtio/transport/pci_transport.h"

namespace mayfly {

namespace {

constexpr u64 kQueueAlignment = 4096;

constexpr u64 align_up(u64 value) { return (value + kQueueAlignment - 1) & ~(kQueueAlignment - 1); }

}  // namespace

u64 LegacyRegisters::config_offset() const {
    return transport_.msix_.is_enabled() ? virtio_pci::LEGACY_CONFIG_WITH_MSIX : virtio_pci::LEGACY_CONFIG;
}

u64 LegacyRegisters::read(IoAccess at) {
    transport_.core_.mutex().assume_held();
    if (at.offset_bytes == virtio_pci::LEGACY_ISR_STATUS) return transport_.read_isr();
    if (at.offset_bytes < config_offset()) {
        // The features that a legacy driver sees are those of the legacy interface.
        if (transport_.core_.state().status == 0) {
            transport_.core_.set_legacy_driver();
            transport_.show_common();
        }
        return read_register(at.offset_bytes);
    }
    return transport_.core_.read_config(at.offset_bytes - config_offset(), at.size_bytes);
}

u64 LegacyRegisters::read_register(u64 offset_bytes) const {
    transport_.core_.mutex().assume_held();
    const u16 selected = transport_.state_.queue_select;
    const bool has_queue = selected < transport_.core_.queue_count();
    switch (offset_bytes) {
        case virtio_pci::LEGACY_DEVICE_FEATURES: return transport_.core_.offered_features() & 0xffff'ffff;
        case virtio_pci::LEGACY_DRIVER_FEATURES:
            return transport_.core_.state().driver_features & 0xffff'ffff;
        case virtio_pci::LEGACY_QUEUE_ADDRESS:
            return has_queue ? transport_.core_.queue_state(selected).descriptors / kQueueAlignment : 0;
        case virtio_pci::LEGACY_QUEUE_SIZE: return has_queue ? transport_.core_.queue_size_max(selected) : 0;
        case virtio_pci::LEGACY_QUEUE_SELECT: return selected;
        case virtio_pci::LEGACY_DEVICE_STATUS: return transport_.core_.state().status;
        case virtio_pci::LEGACY_CONFIG_MSIX_VECTOR: return transport_.state_.config_vector;
        case virtio_pci::LEGACY_QUEUE_MSIX_VECTOR:
            return has_queue ? transport_.queue_vectors_[selected] : virtio_pci::NO_VECTOR;
        default: return 0;
    }
}

void LegacyRegisters::write(IoAccess at, u64 value) {
    transport_.core_.mutex().assume_held();
    if (at.offset_bytes >= config_offset()) {
        transport_.core_.write_config(static_cast<u32>(at.offset_bytes - config_offset()),
                                      std::as_bytes(std::span(&value, 1)).first(at.size_bytes));
        return transport_.show_device_config();
    }
    if (transport_.core_.state().status == 0) transport_.core_.set_legacy_driver();
    switch (at.offset_bytes) {
        case virtio_pci::LEGACY_DRIVER_FEATURES:
            transport_.core_.set_driver_features(value & 0xffff'ffff);
            break;
        case virtio_pci::LEGACY_QUEUE_ADDRESS: write_queue_address(static_cast<u32>(value)); break;
        case virtio_pci::LEGACY_QUEUE_SELECT: transport_.state_.queue_select = static_cast<u16>(value); break;
        case virtio_pci::LEGACY_QUEUE_NOTIFY: transport_.core_.notify(static_cast<u16>(value)); break;
        case virtio_pci::LEGACY_DEVICE_STATUS: transport_.set_status(static_cast<u8>(value)); break;
        case virtio_pci::LEGACY_CONFIG_MSIX_VECTOR:
            transport_.state_.config_vector = transport_.vector_for(value);
            break;
        case virtio_pci::LEGACY_QUEUE_MSIX_VECTOR:
            if (transport_.state_.queue_select < transport_.core_.queue_count())
                transport_.queue_vectors_[transport_.state_.queue_select] = transport_.vector_for(value);
            break;
        default: break;
    }
    transport_.show_common();
}

void LegacyRegisters::write_queue_address(u32 page) {
    transport_.core_.mutex().assume_held();
    const u16 selected = transport_.state_.queue_select;
    VirtioCore::QueueState* const queue = transport_.core_.configurable_queue(selected);
    if (queue == nullptr) return;
    const u64 size = transport_.core_.queue_size_max(selected);
    // virtio 1.2 §2.7.2 "Legacy Interfaces: A Note on Virtqueue Layout": descriptors, then the available
    // ring, then the used ring on a page of its own.
    const u64 descriptors = u64{page} * kQueueAlignment;
    const u64 available = descriptors + size * virtio::DESC_BYTES;
    const u64 used = align_up(available + virtio::avail_bytes(size));
    *queue = {.size = static_cast<u16>(size),
              .is_enabled = page != 0,
              .descriptors = descriptors,
              .driver_area = available,
              .device_area = used};
}

}  // namespace mayfly
