// SPDX-License-Identifier: Apache-2.0
// The members of the virtio devices' state, for Encoder and Decoder.
#pragma once

#include "vmm/snapshot/format/coded_types.h"
#include "vmm/snapshot/machine_state.h"

namespace mayfly {

// Each fields() names all members: one that is added does not compile until it is coded.

namespace coded {

template <>
inline constexpr auto last_value<WhyBroken> = WhyBroken::TableTooLong;

}  // namespace coded

namespace virtio_console {

template <typename Coder>
void fields(Coder& coder, coded::As<Config> auto& config) {
    auto& [cols, rows, max_nr_ports, emerg_wr] = config;
    coder(cols, rows, max_nr_ports, emerg_wr);
}

}  // namespace virtio_console

template <typename Coder>
void fields(Coder& coder, coded::As<VirtioCore::Negotiated> auto& state) {
    auto& [status, config_generation, driver_features, is_legacy_driver] = state;
    coder(status, config_generation, driver_features, is_legacy_driver);
}

template <typename Coder>
void fields(Coder& coder, coded::As<VirtioCore::QueueState> auto& state) {
    auto& [size, is_enabled, descriptors, driver_area, device_area] = state;
    coder(size, is_enabled, descriptors, driver_area, device_area);
}

template <typename Coder>
void fields(Coder& coder, coded::As<QueuePlace> auto& place) {
    auto& [position, why_broken] = place;
    coder(position, why_broken);
}

template <typename Coder>
void fields(Coder& coder, coded::As<VirtioCore::Queue> auto& queue) {
    auto& [registers, place] = queue;
    coder(registers, place);
}

template <typename Coder>
void fields(Coder& coder, coded::As<VirtioCore::State> auto& state) {
    auto& [negotiated, is_started, failures_logged, queues] = state;
    coder(negotiated, is_started, failures_logged, queues);
}

template <typename Coder>
void fields(Coder& coder, coded::As<Block::State> auto& state) {
    auto& [is_write_back, has_failed, requests_level, bytes_level] = state;
    coder(is_write_back, has_failed, requests_level, bytes_level);
}

template <typename Coder>
void fields(Coder& coder, coded::As<Net::State> auto& state) {
    auto& [guest_offloads, pairs_in_use, has_failed, is_link_shown_up, mac, receive_bytes_level,
           receive_packets_level, send_bytes_level, send_packets_level, commands_level] = state;
    coder(guest_offloads, pairs_in_use, has_failed, is_link_shown_up, mac, receive_bytes_level,
          receive_packets_level, send_bytes_level, send_packets_level, commands_level);
}

template <typename Coder>
void fields(Coder& coder, coded::As<Console::State> auto& state) {
    auto& [config, wants_room, written_bytes] = state;
    coder(config, wants_room, written_bytes);
}

template <typename Coder>
void fields(Coder& coder, coded::As<PciTransport::Registers> auto& registers) {
    auto& [device_feature_select, driver_feature_select, queue_select, config_vector, isr] = registers;
    coder(device_feature_select, driver_feature_select, queue_select, config_vector, isr);
}

template <typename Coder>
void fields(Coder& coder, coded::As<PciFunction::State> auto& state) {
    auto& [registers] = state;
    coder(registers);
}

template <typename Coder>
void fields(Coder& coder, coded::As<Msix::Entry> auto& entry) {
    auto& [address, data_and_control] = entry;
    coder(address, data_and_control);
}

template <typename Coder>
void fields(Coder& coder, coded::As<Msix::State> auto& state) {
    auto& [table, pending] = state;
    coder(table, pending);
}

template <typename Coder>
void fields(Coder& coder, coded::As<PciTransport::State> auto& state) {
    auto& [registers, shown_generation, queue_vectors, function, msix] = state;
    coder(registers, shown_generation, queue_vectors, function, msix);
}

template <typename Coder>
void fields(Coder& coder, coded::As<MmioTransport::State> auto& state) {
    auto& [device_features_select, driver_features_select, queue_select, interrupt_status] = state;
    coder(device_features_select, driver_features_select, queue_select, interrupt_status);
}

template <typename Coder>
void fields(Coder& coder, coded::As<VirtioDeviceState> auto& state) {
    auto& [core, model, transport] = state;
    coder(core, model, transport);
}

template <typename Coder>
void fields(Coder& coder, coded::As<ConfigPorts::State> auto& state) {
    auto& [address] = state;
    coder(address);
}

template <typename Coder>
void fields(Coder& coder, coded::As<VirtioDevicesState> auto& state) {
    auto& [devices, config_ports] = state;
    coder(devices, config_ports);
}

}  // namespace mayfly
