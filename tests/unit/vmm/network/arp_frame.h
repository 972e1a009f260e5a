// SPDX-License-Identifier: Apache-2.0
// A guest's first request, which passt answers.
#pragma once

#include <array>

#include "tests/unit/vmm/network/network_fixture.h"

namespace mayfly {

/// Behind the virtio header: "Who has the gateway's address?", asked by the host's.
inline Bytes arp_request(std::array<u8, 4> host, std::array<u8, 4> gateway) {
    Bytes frame(12 + 60);
    std::size_t at = 12;
    const auto put = [&](std::initializer_list<u8> bytes) {
        for (const u8 byte : bytes) frame[at++] = static_cast<std::byte>(byte);
    };
    put({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6});
    put({0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1});
    put({host[0], host[1], host[2], host[3], 0, 0, 0, 0, 0, 0});
    put({gateway[0], gateway[1], gateway[2], gateway[3]});
    return frame;
}

}  // namespace mayfly
