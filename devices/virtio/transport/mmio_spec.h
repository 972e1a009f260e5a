// SPDX-License-Identifier: Apache-2.0
// Registers of virtio over MMIO, version 2, by the specification's names.
//
// Spec: virtio 1.2 §4.2.2 "MMIO Device Register Layout", Table 4.1 "MMIO Device Register Layout".
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::virtio_mmio {

constexpr u64 MagicValue = 0x000;
constexpr u64 Version = 0x004;
constexpr u64 DeviceID = 0x008;
constexpr u64 VendorID = 0x00c;
constexpr u64 DeviceFeatures = 0x010;
constexpr u64 DeviceFeaturesSel = 0x014;
constexpr u64 DriverFeatures = 0x020;
constexpr u64 DriverFeaturesSel = 0x024;
constexpr u64 QueueSel = 0x030;
constexpr u64 QueueNumMax = 0x034;
constexpr u64 QueueNum = 0x038;
constexpr u64 QueueReady = 0x044;
constexpr u64 QueueNotify = 0x050;
constexpr u64 InterruptStatus = 0x060;
constexpr u64 InterruptACK = 0x064;
constexpr u64 Status = 0x070;
constexpr u64 QueueDescLow = 0x080;
constexpr u64 QueueDescHigh = 0x084;
constexpr u64 QueueDriverLow = 0x090;
constexpr u64 QueueDriverHigh = 0x094;
constexpr u64 QueueDeviceLow = 0x0a0;
constexpr u64 QueueDeviceHigh = 0x0a4;
constexpr u64 SHMLenLow = 0x0b0;
constexpr u64 SHMBaseHigh = 0x0bc;
constexpr u64 ConfigGeneration = 0x0fc;
constexpr u64 Config = 0x100;

constexpr u32 kMagic = 0x7472'6976;  // "virt"
constexpr u32 kVersion = 2;

constexpr u32 INTERRUPT_USED_BUFFER = 1;
constexpr u32 INTERRUPT_CONFIG_CHANGE = 2;

}  // namespace mayfly::virtio_mmio
