// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/transport/mmio_transport.h"

#include "devices/virtio/transport/feature_words.h"
#include "devices/virtio/transport/mmio_spec.h"

namespace mayfly {

namespace {

constexpr u32 kVendor = 0x4659'414d;  // "MAYF"

}  // namespace

MmioTransport::MmioTransport(VirtioCore& core, EdgeInterrupt& interrupt, u64 base)
    : core_(core), interrupt_(interrupt), base_(base) {
    core.set_transport(*this);
}

DoorbellPlaces MmioTransport::doorbells(u16 queue) const {
    // All queues share one register: the written number selects the queue.
    return {DoorbellPlace{
        .address = base_ + virtio_mmio::QueueNotify, .is_port = false, .size_bytes = 4, .match = queue}};
}

void MmioTransport::reset() {
    const Lock guard(core_.mutex());
    state_ = {};
}

VirtioCore::QueueState* MmioTransport::selected_queue() {
    return state_.queue_select < core_.queue_count()
               ? &core_.queue_state(static_cast<u16>(state_.queue_select))
               : nullptr;
}

u64 MmioTransport::io_read(IoAccess at) {
    const Lock guard(core_.mutex());
    core_.count_return();
    if (at.offset_bytes >= virtio_mmio::Config)
        return core_.read_config(at.offset_bytes - virtio_mmio::Config, at.size_bytes);
    // virtio 1.2 §4.2.2.2 "Driver Requirements": registers below Config are 32 bits wide and aligned.
    if (at.size_bytes != 4 || at.offset_bytes % 4 != 0) return all_ones(at.size_bytes);
    return read_register(at.offset_bytes);
}

u32 MmioTransport::read_register(u64 offset_bytes) {
    const VirtioCore::QueueState* queue = selected_queue();
    switch (offset_bytes) {
        case virtio_mmio::MagicValue: return virtio_mmio::kMagic;
        case virtio_mmio::Version: return virtio_mmio::kVersion;
        case virtio_mmio::DeviceID: return core_.device().device_id();
        case virtio_mmio::VendorID: return kVendor;
        case virtio_mmio::DeviceFeatures:
            return feature_word(core_.offered_features(), state_.device_features_select);
        case virtio_mmio::QueueNumMax:
            return queue == nullptr ? 0 : core_.queue_size_max(static_cast<u16>(state_.queue_select));
        case virtio_mmio::QueueReady: return queue != nullptr && queue->is_enabled ? 1 : 0;
        case virtio_mmio::InterruptStatus: return state_.interrupt_status;
        case virtio_mmio::Status: return core_.state().status;
        case virtio_mmio::ConfigGeneration: return core_.state().config_generation;
        default: break;
    }
    // virtio 1.2 §4.2.2.1 "Device Requirements": a missing shared memory region has base and length -1.
    return offset_bytes >= virtio_mmio::SHMLenLow && offset_bytes <= virtio_mmio::SHMBaseHigh ? ~u32{0} : 0;
}

void MmioTransport::io_write(IoAccess at, u64 value) {
    const Lock lock(core_.mutex());
    core_.count_return();
    if (at.offset_bytes >= virtio_mmio::Config) {
        const auto bytes = std::as_bytes(std::span(&value, 1)).first(at.size_bytes);
        return core_.write_config(static_cast<u32>(at.offset_bytes - virtio_mmio::Config), bytes);
    }
    if (at.size_bytes == 4 && at.offset_bytes % 4 == 0)
        write_register(at.offset_bytes, static_cast<u32>(value));
}

void MmioTransport::write_register(u64 offset_bytes, u32 value) {
    switch (offset_bytes) {
        case virtio_mmio::DeviceFeaturesSel: state_.device_features_select = value; return;
        case virtio_mmio::DriverFeaturesSel: state_.driver_features_select = value; return;
        case virtio_mmio::DriverFeatures:
            core_.set_driver_features(
                with_feature_word(core_.state().driver_features, state_.driver_features_select, value));
            return;
        case virtio_mmio::QueueSel: state_.queue_select = value; return;
        case virtio_mmio::QueueNotify: core_.notify(value); return;
        case virtio_mmio::InterruptACK: state_.interrupt_status &= ~value; return;
        case virtio_mmio::Status:
            // "Writing zero to this register triggers a device reset", not a word whose low byte is zero.
            if (value != 0 && static_cast<u8>(value) == 0) return;
            if (core_.write_status(static_cast<u8>(value)) && value == 0) state_ = {};
            return;
        default: write_queue_register(offset_bytes, value); return;
    }
}

bool MmioTransport::write_queue_register(u64 offset_bytes, u32 value) {
    VirtioCore::QueueState* queue = core_.configurable_queue(state_.queue_select);
    if (queue == nullptr) return false;
    switch (offset_bytes) {
        case virtio_mmio::QueueNum:
            // Wider values must not look like a size that fits.
            queue->size = value > VirtQueue::kSizeMax ? u16{0} : static_cast<u16>(value);
            return true;
        case virtio_mmio::QueueReady: queue->is_enabled = (value & 1) != 0; return true;
        case virtio_mmio::QueueDescLow:
            queue->descriptors = with_low_half(queue->descriptors, value);
            return true;
        case virtio_mmio::QueueDescHigh:
            queue->descriptors = with_high_half(queue->descriptors, value);
            return true;
        case virtio_mmio::QueueDriverLow:
            queue->driver_area = with_low_half(queue->driver_area, value);
            return true;
        case virtio_mmio::QueueDriverHigh:
            queue->driver_area = with_high_half(queue->driver_area, value);
            return true;
        case virtio_mmio::QueueDeviceLow:
            queue->device_area = with_low_half(queue->device_area, value);
            return true;
        case virtio_mmio::QueueDeviceHigh:
            queue->device_area = with_high_half(queue->device_area, value);
            return true;
        default: return false;
    }
}

bool MmioTransport::restore(const State& state) {
    constexpr u32 kBits = virtio_mmio::INTERRUPT_USED_BUFFER | virtio_mmio::INTERRUPT_CONFIG_CHANGE;
    if ((state.interrupt_status & ~kBits) != 0) return false;
    const Lock guard(core_.mutex());
    state_ = state;
    return true;
}

void MmioTransport::interrupt_queue(u16 queue) {
    state_.interrupt_status |= virtio_mmio::INTERRUPT_USED_BUFFER;
    interrupt_.raise(&core_.queue(queue).counts);
}

void MmioTransport::interrupt_config() {
    state_.interrupt_status |= virtio_mmio::INTERRUPT_CONFIG_CHANGE;
    interrupt_.raise(nullptr);
}

}  // namespace mayfly
