// SPDX-License-Identifier: Apache-2.0
// Constants and structures of the virtio network device, by the specification's names.
//
// Spec: virtio 1.2 §5.1 "Network Device", by subsections below; GUEST_USO4 and
// GUEST_USO6, of a later edition, are not offered.
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::virtio_net {

// §5.1.3 "Feature bits", as masks
constexpr u64 F_CSUM = u64{1} << 0;        ///< the device completes checksums
constexpr u64 F_GUEST_CSUM = u64{1} << 1;  ///< the driver takes frames without
constexpr u64 F_CTRL_GUEST_OFFLOADS = u64{1} << 2;
constexpr u64 F_MTU = u64{1} << 3;
constexpr u64 F_MAC = u64{1} << 5;
constexpr u64 F_GUEST_TSO4 = u64{1} << 7;
constexpr u64 F_GUEST_TSO6 = u64{1} << 8;
constexpr u64 F_GUEST_ECN = u64{1} << 9;
constexpr u64 F_HOST_TSO4 = u64{1} << 11;
constexpr u64 F_HOST_TSO6 = u64{1} << 12;
constexpr u64 F_HOST_ECN = u64{1} << 13;
constexpr u64 F_MRG_RXBUF = u64{1} << 15;
constexpr u64 F_STATUS = u64{1} << 16;
constexpr u64 F_CTRL_VQ = u64{1} << 17;
constexpr u64 F_MQ = u64{1} << 22;
constexpr u64 F_CTRL_MAC_ADDR = u64{1} << 23;
constexpr u64 F_HOST_USO = u64{1} << 56;

/// What CTRL_GUEST_OFFLOADS_SET switches.
constexpr u64 kGuestOffloads = F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6 | F_GUEST_ECN;
constexpr u64 kHostOffloads = F_CSUM | F_HOST_TSO4 | F_HOST_TSO6 | F_HOST_ECN | F_HOST_USO;

// §5.1.4 "Device configuration layout"; what follows mtu belongs to features that are not offered.
constexpr u32 CONFIG_MAC = 0;
constexpr u32 CONFIG_STATUS = 6;
constexpr u32 CONFIG_MAX_VIRTQUEUE_PAIRS = 8;
constexpr u32 CONFIG_MTU = 10;
constexpr u32 kConfigBytes = 12;
constexpr u32 kMacBytes = 6;
constexpr u16 S_LINK_UP = 1;

// §5.1.6 "Device Operation", struct virtio_net_hdr. The driver's offsets; num_buffers is absent from the
// short one (§5.1.6.1 "Legacy Interface: Device Operation").
constexpr u8 kHeaderBytes = 12;
constexpr u8 kHeaderBytesShort = 10;
constexpr u32 HDR_FLAGS = 0;
constexpr u32 HDR_GSO_TYPE = 1;
constexpr u32 HDR_NUM_BUFFERS = 10;
constexpr u8 HDR_F_NEEDS_CSUM = 1;
constexpr u8 HDR_GSO_NONE = 0;

// §5.1.6.5 "Control Virtqueue"
constexpr u32 CTRL_CLASS = 0;
constexpr u32 CTRL_COMMAND = 1;
constexpr u32 CTRL_DATA = 2;
constexpr u8 CTRL_OK = 0;
constexpr u8 CTRL_ERR = 1;
// §5.1.6.5.2 "Setting MAC Address Filtering"
constexpr u8 CTRL_MAC = 1;
constexpr u8 CTRL_MAC_ADDR_SET = 1;
// §5.1.6.5.5 "Device operation in multiqueue mode"
constexpr u8 CTRL_MQ = 4;
constexpr u8 CTRL_MQ_VQ_PAIRS_SET = 0;
// §5.1.6.5.8 "Offloads State Configuration"
constexpr u8 CTRL_GUEST_OFFLOADS = 5;
constexpr u8 CTRL_GUEST_OFFLOADS_SET = 0;

/// The largest frame: 64 KiB of IP and the link's header with a VLAN tag. §5.1.6.3.1 "Driver Requirements:
/// Setting Up Receive Buffers" counts 65550 bytes without the tag.
constexpr u32 kFrameBytesMax = 65536 + 18;
/// A shorter frame is not Ethernet.
constexpr u32 kFrameBytesMin = 14;

}  // namespace mayfly::virtio_net
