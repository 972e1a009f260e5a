// SPDX-License-Identifier: Apache-2.0
// FakeNetBackend: a test puts in frames to receive, and inspects frames sent.
#pragma once

#include <algorithm>
#include <cstring>
#include <deque>
#include <vector>

#include "devices/virtio/net/net_backend.h"

namespace mayfly {

class FakeNetBackend : public NetBackend {
  public:
    using Bytes = std::vector<std::byte>;
    struct Configured {
        u64 features;
        u8 header_bytes;
        u16 pairs_in_use;
        bool operator==(const Configured&) const = default;
    };

    [[nodiscard]] u16 pair_count() const override { return pairs; }
    [[nodiscard]] u64 offload_features() const override { return offloads; }
    [[nodiscard]] bool configure(u64 features, u8 header_bytes, u16 pairs_in_use) override {
        configured.push_back({features, header_bytes, pairs_in_use});
        return accepts;
    }
    [[nodiscard]] NetStatus send(u16 pair, std::span<const iovec> frame) override {
        ++sends;
        if (send_status != NetStatus::Done) return send_status;
        Bytes bytes;
        for (const iovec& part : frame) {
            const auto* from = static_cast<const std::byte*>(part.iov_base);
            bytes.insert(bytes.end(), from, from + part.iov_len);
        }
        sent.push_back(std::move(bytes));
        sent_pairs.push_back(pair);
        return NetStatus::Done;
    }
    [[nodiscard]] NetReceived receive(u16 /*pair*/, std::span<const iovec> into) override {
        ++receives;
        if (is_down) return {NetStatus::Down};
        if (waiting.empty()) return {NetStatus::Wait};
        room_bytes = 0;
        for (const iovec& part : into) room_bytes += part.iov_len;
        const Bytes frame = waiting.front();
        waiting.pop_front();
        std::size_t done = 0;
        for (const iovec& part : into) {
            const std::size_t piece = std::min(part.iov_len, frame.size() - done);
            if (piece != 0) std::memcpy(part.iov_base, frame.data() + done, piece);
            done += piece;
        }
        return {done == frame.size() ? NetStatus::Done : NetStatus::Dropped, frame.size()};
    }
    void set_client(NetClient* told) override { client = told; }

    u16 pairs = 1;
    u64 offloads = 0;
    bool accepts = true;
    bool is_down = false;
    NetStatus send_status = NetStatus::Done;
    std::vector<Configured> configured;
    std::vector<Bytes> sent;
    std::vector<u16> sent_pairs;
    std::deque<Bytes> waiting;  ///< header and frame
    u64 room_bytes = 0;         ///< at the last receive()
    int sends = 0;
    int receives = 0;
    NetClient* client = nullptr;
};

}  // namespace mayfly
