// SPDX-License-Identifier: Apache-2.0
// Network set-up and frames.
#include "firmware/guests/runtime/virtio_net.h"

namespace guest::virtio {

bool Net::start(const Transport& transport, u64 wanted, u16 queue_size, u16 vector) {
    if (!negotiate(transport, wanted | kVersion1, features_)) return false;
    // virtio 1.2 §5.1.6.1 "Legacy Interface: Device Operation": without both, the header is short.
    header_bytes_ = (features_ & (kVersion1 | kNetMergedBuffers)) != 0 ? 12 : 10;
    for (u32 n = 0; n < sizeof mac_; ++n) mac_[n] = transport.config8(n);
    for (u16 n = 0; n < 2; ++n) {
        const u16 entry = vector == kNoVector ? kNoVector : static_cast<u16>(vector + n);
        if (!queues_[n].start(transport, n, queue_size, features_, entry)) return false;
    }
    drive(transport);
    return true;
}

bool Net::send(u64 at, u32 frame_bytes, u16 token) {
    if ((features_ & kVersion1) != 0) {
        const Segment whole{at, header_bytes_ + frame_bytes, false};
        return queues_[kSend].add(&whole, 1, token);
    }
    const Segment parts[] = {{at, header_bytes_, false}, {at + header_bytes_, frame_bytes, false}};
    return queues_[kSend].add(parts, 2, token);
}

bool Net::receive(u64 at, u32 size_bytes, u16 token) {
    if ((features_ & (kVersion1 | kNetMergedBuffers)) != 0) {
        const Segment whole{at, size_bytes, true};
        return queues_[kReceive].add(&whole, 1, token);
    }
    const Segment parts[] = {{at, header_bytes_, true},
                             {at + header_bytes_, size_bytes - header_bytes_, true}};
    return queues_[kReceive].add(parts, 2, token);
}

}  // namespace guest::virtio
