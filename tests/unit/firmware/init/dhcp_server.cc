// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/firmware/init/dhcp_server.h"

#include <algorithm>

namespace mayfly::test {

void put_u16(Bytes& bytes, std::size_t at, std::size_t value) {
    bytes[at] = static_cast<u8>(value >> 8);
    bytes[at + 1] = static_cast<u8>(value);
}

Bytes answer_with(const Bytes& options) {
    Bytes packet(kOptionsAt);
    packet.insert(packet.end(), options.begin(), options.end());
    packet[0] = 0x45;
    put_u16(packet, 2, packet.size());
    packet[8] = 64;
    packet[9] = 17;
    const Bytes addresses{192, 0, 2, 1, 192, 0, 2, 77};
    std::ranges::copy(addresses, packet.begin() + 12);
    put_u16(packet, 20, 67);
    put_u16(packet, 22, 68);
    put_u16(packet, 24, packet.size() - 20);
    const Bytes head{2, 1, 6, 0, 0x12, 0x34, 0x56, 0x78};
    std::ranges::copy(head, packet.begin() + kMessageAt);
    std::copy(addresses.begin() + 4, addresses.end(), packet.begin() + kMessageAt + 16);
    std::ranges::copy(kClient.mac, packet.begin() + kMessageAt + 28);
    const Bytes cookie{0x63, 0x82, 0x53, 0x63};
    std::ranges::copy(cookie, packet.begin() + kMessageAt + 236);
    return packet;
}

Bytes plus(u8 type, const Bytes& more) {
    Bytes options{53, 1, type, 54, 4, 192, 0, 2, 1};
    options.insert(options.end(), more.begin(), more.end());
    options.push_back(255);
    return options;
}

}  // namespace mayfly::test
