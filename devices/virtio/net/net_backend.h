// SPDX-License-Identifier: Apache-2.0
// NetBackend: the host's side of a network device, which sends and receives its frames. Frames begin with the
// virtio-net header (virtio 1.2 §5.1.6 "Device Operation", struct virtio_net_hdr).
#pragma once

#include <span>

#include <sys/uio.h>

#include "vmm/error/ints.h"

namespace mayfly {

enum class NetStatus : u8 {
    Done,
    Wait,     ///< send: no room, on_net_writable() follows. receive: no frame, on_net_readable() follows
    Dropped,  ///< this frame cannot be sent or was cut; the next one may
    Down,     ///< the interface or its peer is gone; on_net_link(false) was or will be called
};

struct NetReceived {
    NetStatus status;
    u64 frame_bytes = 0;  ///< when Done; header included
};

/// Called on the I/O thread, without the device's lock.
class NetClient {
  public:
    NetClient() = default;
    NetClient(const NetClient&) = delete;
    NetClient& operator=(const NetClient&) = delete;
    virtual ~NetClient() = default;

    virtual void on_net_readable(u16 pair) = 0;
    virtual void on_net_writable(u16 pair) = 0;
    virtual void on_net_link(bool is_up) = 0;
};

/// Thread: under the device's lock. Never blocks.
class NetBackend {
  public:
    NetBackend() = default;
    NetBackend(const NetBackend&) = delete;
    NetBackend& operator=(const NetBackend&) = delete;
    virtual ~NetBackend() = default;

    /// Queue pairs, at least 1.
    [[nodiscard]] virtual u16 pair_count() const = 0;
    /// virtio-net feature bits that it supports (checksum and segmentation offloads).
    [[nodiscard]] virtual u64 offload_features() const = 0;
    /// Before the first frame and after a change: what the driver takes (GUEST_* bits), the header's size
    /// (10 or 12), and how many pairs are in use. False: the host refused; then no offload may be used.
    [[nodiscard]] virtual bool configure(u64 features, u8 header_bytes, u16 pairs_in_use) = 0;

    /// Sends one frame, all of it or nothing. When Wait, the same frame is tried again later.
    [[nodiscard]] virtual NetStatus send(u16 pair, std::span<const iovec> frame) = 0;
    /// Receives one frame into `into`.
    [[nodiscard]] virtual NetReceived receive(u16 pair, std::span<const iovec> into) = 0;
    /// From now on `client` is called; null: nobody is.
    virtual void set_client(NetClient* client) = 0;
};

}  // namespace mayfly
