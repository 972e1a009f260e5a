// SPDX-License-Identifier: Apache-2.0
// A driver for virtio network devices: raw Ethernet frames behind the virtio-net header, one queue pair.
// Spec: virtio 1.2 §5.1 "Network Device".
#pragma once

#include "firmware/guests/runtime/virtqueue.h"

namespace guest::virtio {

constexpr u64 kNetChecksum = u64{1} << 0;
constexpr u64 kNetGuestChecksum = u64{1} << 1;
constexpr u64 kNetMtu = u64{1} << 3;
constexpr u64 kNetMac = u64{1} << 5;
constexpr u64 kNetGuestTso4 = u64{1} << 7;
constexpr u64 kNetHostTso4 = u64{1} << 11;
constexpr u64 kNetHostUfo = u64{1} << 14;
constexpr u64 kNetMergedBuffers = u64{1} << 15;
constexpr u64 kNetStatus = u64{1} << 16;

/// virtio 1.2 §5.1.6 "Device Operation", struct virtio_net_hdr. Without merged buffers on a legacy device its
/// last field is missing.
struct NetHeader {
    u8 flags;  ///< 1: checksum needed
    u8 gso_type;
    u16 header_bytes;
    u16 gso_bytes;
    u16 checksum_start;
    u16 checksum_offset;
    u16 buffer_count;
};
static_assert(sizeof(NetHeader) == 12);
constexpr u8 kNetNeedsChecksum = 1;
constexpr u8 kNetGsoNone = 0;
constexpr u8 kNetGsoTcp4 = 1;

class Net final {
  public:
    static constexpr u16 kReceive = 0;
    static constexpr u16 kSend = 1;

    /// Vectors: the receive queue has `vector`, the send queue the next one.
    bool start(const Transport& transport, u64 wanted, u16 queue_size, u16 vector);

    [[nodiscard]] u64 features() const { return features_; }
    [[nodiscard]] const u8* mac() const { return mac_; }
    [[nodiscard]] u32 header_bytes() const { return header_bytes_; }
    Virtqueue& queue(u16 index) { return queues_[index]; }

    /// A frame that begins with its virtio-net header at `at`; two descriptors, as old devices require.
    bool send(u64 at, u32 frame_bytes, u16 token);
    /// Room for a frame, the header included.
    bool receive(u64 at, u32 size_bytes, u16 token);

  private:
    u64 features_ = 0;
    u32 header_bytes_ = 0;
    u8 mac_[6]{};
    Virtqueue queues_[2];
};

}  // namespace guest::virtio
