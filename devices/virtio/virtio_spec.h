// SPDX-License-Identifier: Apache-2.0
// Constants that every virtio device and transport shares, by the specification's names.
//
// Spec: virtio 1.2 §2.1 "Device Status Field", §2.2 "Feature Bits", §5 "Device Types",
// §6 "Reserved Feature Bits".
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::virtio {

// §2.1 "Device Status Field"
constexpr u8 ACKNOWLEDGE = 1;
constexpr u8 DRIVER = 2;
constexpr u8 DRIVER_OK = 4;
constexpr u8 FEATURES_OK = 8;
constexpr u8 DEVICE_NEEDS_RESET = 64;
constexpr u8 FAILED = 128;

// §6 "Reserved Feature Bits", as masks
constexpr u64 F_NOTIFY_ON_EMPTY = u64{1} << 24;  ///< legacy only; not offered
constexpr u64 F_ANY_LAYOUT = u64{1} << 27;       ///< legacy only
constexpr u64 F_INDIRECT_DESC = u64{1} << 28;
constexpr u64 F_EVENT_IDX = u64{1} << 29;
constexpr u64 F_VERSION_1 = u64{1} << 32;
constexpr u64 F_RING_PACKED = u64{1} << 34;
constexpr u64 F_RING_RESET = u64{1} << 40;

// §5 "Device Types"
constexpr u16 ID_NET = 1;
constexpr u16 ID_BLOCK = 2;
constexpr u16 ID_CONSOLE = 3;
constexpr u16 ID_ENTROPY = 4;
constexpr u16 ID_FS = 26;

}  // namespace mayfly::virtio
