// SPDX-License-Identifier: Apache-2.0
// Sending: the part of Net that empties the transmit queues. VIRTIO 1.2 §5.1.6.2 "Packet Transmission".
#include "devices/virtio/net.h"

namespace mayfly {

Net::Step Net::send_one(u16 pair, VirtQueue& ring, const Chain& chain) {
    const u64 payload_bytes = chain.readable_bytes - state_.header_bytes;
    NetStatus status = NetStatus::Dropped;
    if (payload_bytes <= virtio_net::kFrameBytesMax) {
        if (const std::optional<u64> deadline = passes_at(send_limits_, payload_bytes)) {
            ring.unpop(chain.token);
            host()->run_at(static_cast<u16>(2 * pair + 1), *deadline);
            return Step::Stop;
        }
        status = backend_.send(pair, chain.readable);
    }
    switch (status) {
        case NetStatus::Wait: ring.unpop(chain.token); return Step::Stop;
        case NetStatus::Done:
            ++counts_.sent;
            ring.counts.bytes += payload_bytes;
            count_against(send_limits_, payload_bytes);
            break;
        case NetStatus::Dropped:
        case NetStatus::Down: ++counts_.send_dropped; break;
    }
    ring.push(chain.token, 0);
    return Step::Next;
}

bool Net::send(u16 pair, u32 budget) {
    VirtQueue& ring = queue(static_cast<u16>(2 * pair + 1));
    for (u32 done = 0; done < budget; ++done) {
        Chain chain;
        if (ring.pop({parts_.get(), kSendPartsMax}, chain) != PopResult::Chain) return false;
        if (!chain.writable.empty() || chain.readable_bytes < state_.header_bytes) {
            fail("a frame to send is shorter than its header, or is not for reading");
            return false;
        }
        if (send_one(pair, ring, chain) == Step::Stop) {
            // More of it is of no use until on_net_writable() or the deadline.
            ring.suppress_doorbells();
            return false;
        }
    }
    return true;
}

}  // namespace mayfly
