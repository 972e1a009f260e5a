// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/entropy.h"

#include <algorithm>

#include "devices/virtio/virtio_spec.h"

namespace mayfly {

u16 Entropy::device_id() const { return virtio::ID_ENTROPY; }

std::span<const u16> Entropy::queue_sizes() const {
    static constexpr std::array<u16, 1> kSizes{kQueueSize};
    return kSizes;
}

void Entropy::write_config(u32 /*offset_bytes*/, std::span<const std::byte> /*bytes*/) {}

void Entropy::start(u64 /*features*/, DeviceHost& host) { host_ = &host; }

Progress Entropy::process(u16 queue, u32 budget) {
    if (host_ == nullptr || queue != 0) return Progress::Waiting;
    VirtQueue& requests = host_->queue(queue);
    u64 left = kBytesPerCallMax;
    for (; budget > 0 && left > 0; --budget) {
        const auto [result, chain] = requests.pop(parts_);
        if (result != PopResult::Chain)
            return result == PopResult::Empty ? Progress::Drained : Progress::Waiting;
        // virtio 1.2 §5.4.6.1 "Driver Requirements: Device Operation": "The driver MUST NOT place
        // device-readable buffers into the queue." They are ignored; a request of nothing else gets nothing.
        // §5.4.6.2 "Device Requirements: Device Operation": "it MAY use less than the entire buffer length".
        const u64 size_bytes = std::min(chain.writable_bytes, left);
        const bool is_filled = size_bytes != 0 && source_.fill(keep_front(chain.writable, size_bytes));
        // Deviation: when the host has no random bytes the driver gets a length of 0, which it MUST examine.
        requests.push(chain.token, is_filled ? static_cast<u32>(size_bytes) : 0);
        if (!is_filled) continue;
        requests.counts.bytes += size_bytes;
        left -= size_bytes;
    }
    return Progress::More;
}

}  // namespace mayfly
