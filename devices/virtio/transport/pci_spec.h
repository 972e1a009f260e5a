// SPDX-License-Identifier: Apache-2.0
// Registers and capabilities of virtio over PCI, by the specification's names.
//
// Spec: virtio 1.2 §4.1 "Virtio Over PCI Bus"; §4.1.4.3 "Common configuration structure layout"; §4.1.4.10
// "Legacy Interfaces: A Note on PCI Device Layout".
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::virtio_pci {

constexpr u16 VENDOR_ID = 0x1af4;
constexpr u16 DEVICE_ID_BASE = 0x1040;  ///< plus the device's type

// struct virtio_pci_cap
constexpr u8 CAP_COMMON_CFG = 1;
constexpr u8 CAP_NOTIFY_CFG = 2;
constexpr u8 CAP_ISR_CFG = 3;
constexpr u8 CAP_DEVICE_CFG = 4;
constexpr u8 CAP_PCI_CFG = 5;

// struct virtio_pci_common_cfg, offsets
constexpr u64 device_feature_select = 0;
constexpr u64 device_feature = 4;
constexpr u64 driver_feature_select = 8;
constexpr u64 driver_feature = 12;
constexpr u64 config_msix_vector = 16;
constexpr u64 num_queues = 18;
constexpr u64 device_status = 20;
constexpr u64 config_generation = 21;
constexpr u64 queue_select = 22;
constexpr u64 queue_size = 24;
constexpr u64 queue_msix_vector = 26;
constexpr u64 queue_enable = 28;
constexpr u64 queue_notify_off = 30;
constexpr u64 queue_desc = 32;
constexpr u64 queue_driver = 40;
constexpr u64 queue_device = 48;
constexpr u32 COMMON_CFG_BYTES = 56;
constexpr u64 HIGH_HALF = 4;  ///< of an address

constexpr u16 NO_VECTOR = 0xffff;

constexpr u8 ISR_QUEUE = 1;
constexpr u8 ISR_CONFIG = 2;

// The legacy interface's registers in the first I/O BAR.
constexpr u64 LEGACY_DEVICE_FEATURES = 0;
constexpr u64 LEGACY_DRIVER_FEATURES = 4;
constexpr u64 LEGACY_QUEUE_ADDRESS = 8;
constexpr u64 LEGACY_QUEUE_SIZE = 12;
constexpr u64 LEGACY_QUEUE_SELECT = 14;
constexpr u64 LEGACY_QUEUE_NOTIFY = 16;
constexpr u64 LEGACY_DEVICE_STATUS = 18;
constexpr u64 LEGACY_ISR_STATUS = 19;
constexpr u64 LEGACY_CONFIG_MSIX_VECTOR = 20;  ///< only while MSI-X is enabled
constexpr u64 LEGACY_QUEUE_MSIX_VECTOR = 22;
constexpr u64 LEGACY_CONFIG = 20;
constexpr u64 LEGACY_CONFIG_WITH_MSIX = 24;

}  // namespace mayfly::virtio_pci
