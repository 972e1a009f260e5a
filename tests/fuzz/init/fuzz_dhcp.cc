// SPDX-License-Identifier: Apache-2.0
// Fuzzes our init's reading of packets from any host on the guest's network that poses as a DHCP server.
#include <array>
#include <cstddef>
#include <cstdlib>
#include <memory>

#include "firmware/init/dhcp.h"

namespace {

using namespace mayfly;
using namespace mayfly::init;

constexpr DhcpClient kClient{{0x02, 0x11, 0x22, 0x33, 0x44, 0x55}, 0x1234'5678};

void require(bool is_true) {
    if (!is_true) std::abort();
}

bool is_host_address(Ipv4 address) {
    return address.bytes[0] != 0 && address.bytes[0] != 127 && address.bytes[0] < 224;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
    // A copy on the heap, so that a sanitizer sees a read behind its end.
    const std::unique_ptr<u8[]> packet(new u8[size]);
    for (std::size_t i = 0; i < size; ++i) packet[i] = data[i];
    const std::optional<DhcpAnswer> answer = read_dhcp_packet({packet.get(), size}, kClient);
    if (!answer || answer->kind == DhcpKind::Nak) return 0;
    require(answer->kind == DhcpKind::Offer || answer->kind == DhcpKind::Ack);
    require(is_host_address(answer->address));
    require(answer->prefix_bits >= 8 && answer->prefix_bits <= 32);
    require(!answer->has_router || is_host_address(answer->router));
    require(answer->name_servers <= kDhcpNameServersMax);
    std::array<char, kIpv4TextBytes> text{};
    for (u32 i = 0; i < answer->name_servers; ++i) {
        require(is_host_address(answer->name_server[i]));
        require(write_text(answer->name_server[i], text) < text.size());
    }
    require(answer->mtu == 0 || answer->mtu >= 576);
    require(belongs_to(*answer, *answer));
    std::array<u8, kDhcpPacketBytes> request{};
    write_dhcp_packet(request, kClient, &*answer);
    require(!read_dhcp_packet(request, kClient));
    return 0;
}
