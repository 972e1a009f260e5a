// SPDX-License-Identifier: Apache-2.0
// Sending: the part of Net that empties the transmit queues. virtio 1.2 §5.1.6.2 "Packet Transmission".
#include "devices/virtio/net/net.h"

namespace mayfly {

Net::Step Net::send_one(u16 pair, VirtQueue& ring, const Chain& chain) {
    const u64 payload_bytes = chain.readable_bytes - active_.header_bytes;
    NetStatus status = NetStatus::Dropped;
    if (payload_bytes <= virtio_net::kFrameBytesMax) {
        if (const std::optional<u64> deadline = passes_at(send_limits_, payload_bytes)) {
            ring.unpop(chain.token);
            host()->run_at(static_cast<u16>(2 * pair + 1), *deadline);
            return Step::Wait;
        }
        status = is_refused_ ? NetStatus::Down : backend_.send(pair, chain.readable);
    }
    switch (status) {
        case NetStatus::Wait: ring.unpop(chain.token); return Step::Wait;
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

Progress Net::send(u16 pair, u32 budget) {
    VirtQueue& ring = queue(static_cast<u16>(2 * pair + 1));
    for (u32 done = 0; done < budget; ++done) {
        const auto [popped, chain] = ring.pop({parts_.get(), kSendPartsMax});
        if (popped != PopResult::Chain) return end_of(ring, popped);
        if (!chain.writable.empty() || chain.readable_bytes < active_.header_bytes) {
            return fail("a frame to send is shorter than its header, or is not for reading");
        }
        if (send_one(pair, ring, chain) == Step::Wait) return Progress::Waiting;
    }
    return Progress::More;
}

}  // namespace mayfly
