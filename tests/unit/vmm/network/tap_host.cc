// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/vmm/network/tap_host.h"

#include <arpa/inet.h>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>

#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace mayfly::tap_host {

namespace {

void put_u16(Bytes& bytes, std::size_t at, u16 value) {
    bytes[at] = static_cast<std::byte>(value >> 8);
    bytes[at + 1] = static_cast<std::byte>(value);
}

u16 ip_checksum(const Bytes& bytes, std::size_t begin, std::size_t size_bytes) {
    u32 sum = 0;
    for (std::size_t i = begin; i < begin + size_bytes; i += 2)
        sum += std::to_integer<u32>(bytes[i]) << 8 | std::to_integer<u32>(bytes[i + 1]);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<u16>(~sum);
}

}  // namespace

void enter_own_network() {
    static const bool is_done = [] {
        if (::unshare(CLONE_NEWNET) != 0 || ::access("/dev/net/tun", R_OK | W_OK) != 0) {
            std::perror("skipped: no network namespace or no /dev/net/tun for this test");
            std::_Exit(77);
        }
        // The kernel's own multicasts would come between the test's frames.
        const int fd = ::open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);
        if (fd >= 0) {
            if (::write(fd, "1", 1) != 1) std::perror("disable_ipv6");
            ::close(fd);
        }
        return true;
    }();
    REQUIRE(is_done);
}

bool exists(const std::string& name) { return ::if_nametoindex(name.c_str()) != 0; }

bool is_up(const std::string& name) {
    const UniqueFd socket = UniqueFd::adopt(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    name.copy(request.ifr_name, IFNAMSIZ - 1);
    return ::ioctl(socket.get(), SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP) != 0;
}

bool remove(const std::string& name) {
    const UniqueFd socket = UniqueFd::adopt(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    struct {
        nlmsghdr header{};
        ifinfomsg interface {};
    } request;
    request.header.nlmsg_len = sizeof(request);
    request.header.nlmsg_type = RTM_DELLINK;
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    request.interface.ifi_index = static_cast<int>(::if_nametoindex(name.c_str()));
    if (::send(socket.get(), &request, sizeof(request), 0) != sizeof(request)) return false;
    std::array<char, 512> answer{};
    return ::recv(socket.get(), answer.data(), answer.size(), 0) > 0 && !exists(name);
}

void create_persistent(const std::string& name, bool is_tap, bool has_many_queues) {
    const UniqueFd fd = UniqueFd::adopt(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
    ifreq request{};
    name.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_flags = static_cast<short>((is_tap ? IFF_TAP : IFF_TUN) | IFF_NO_PI |
                                           (has_many_queues ? IFF_MULTI_QUEUE : 0));
    REQUIRE(::ioctl(fd.get(), TUNSETIFF, &request) == 0);
    REQUIRE(::ioctl(fd.get(), TUNSETPERSIST, 1) == 0);
}

void give_address(const std::string& name, std::array<u8, 4> address, std::array<u8, 4> gateway) {
    const UniqueFd socket = UniqueFd::adopt(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const auto put = [](sockaddr& to, std::array<u8, 4> from) {
        sockaddr_in inet{};
        inet.sin_family = AF_INET;
        std::memcpy(&inet.sin_addr, from.data(), from.size());
        std::memcpy(&to, &inet, sizeof(inet));
    };
    ifreq request{};
    name.copy(request.ifr_name, IFNAMSIZ - 1);
    put(request.ifr_addr, address);
    REQUIRE(::ioctl(socket.get(), SIOCSIFADDR, &request) == 0);
    put(request.ifr_netmask, {255, 255, 255, 0});
    REQUIRE(::ioctl(socket.get(), SIOCSIFNETMASK, &request) == 0);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    REQUIRE(::ioctl(socket.get(), SIOCSIFFLAGS, &request) == 0);
    rtentry route{};
    put(route.rt_dst, {0, 0, 0, 0});
    put(route.rt_genmask, {0, 0, 0, 0});
    put(route.rt_gateway, gateway);
    route.rt_flags = RTF_UP | RTF_GATEWAY;
    REQUIRE(::ioctl(socket.get(), SIOCADDRT, &route) == 0);
}

PacketSocket::PacketSocket(const std::string& name, u16 ethertype, bool has_offload_header)
    : fd_(UniqueFd::adopt(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0))) {
    const int is_on = has_offload_header ? 1 : 0;
    REQUIRE(::setsockopt(fd_.get(), SOL_PACKET, PACKET_VNET_HDR, &is_on, sizeof(is_on)) == 0);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ethertype);
    address.sll_ifindex = static_cast<int>(::if_nametoindex(name.c_str()));
    REQUIRE(address.sll_ifindex != 0);
    REQUIRE(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
}

Bytes PacketSocket::receive() const {
    pollfd waiting{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, 2000) != 1) return {};
    Bytes bytes(70000);
    const ssize_t count = ::recv(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    bytes.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return bytes;
}

bool PacketSocket::send(const Bytes& bytes) const {
    return ::send(fd_.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size());
}

Bytes ethernet(std::size_t payload_bytes, u8 first) {
    Bytes frame(14, std::byte{0xff});
    frame[6] = std::byte{2};
    put_u16(frame, 12, kTestEthertype);
    return joined(frame, pattern(payload_bytes, first));
}

Bytes tcp_frame(std::size_t payload_bytes) {
    Bytes frame(14 + 20 + 20, std::byte{0});
    for (std::size_t i = 0; i < 6; ++i) frame[i] = std::byte{0xff};
    frame[6] = std::byte{2};
    put_u16(frame, 12, 0x0800);
    frame[14] = std::byte{0x45};
    put_u16(frame, 16, static_cast<u16>(40 + payload_bytes));
    put_u16(frame, 20, 0x4000);  // don't fragment
    frame[22] = std::byte{64};   // time to live
    frame[23] = std::byte{6};    // TCP
    frame[26] = std::byte{10};   // from 10.0.0.1
    frame[29] = std::byte{1};
    frame[30] = std::byte{10};  // to 10.0.0.2
    frame[33] = std::byte{2};
    put_u16(frame, 24, ip_checksum(frame, 14, 20));
    put_u16(frame, 34, 1000);
    put_u16(frame, 36, 2000);
    frame[46] = std::byte{0x50};  // five words of header
    frame[47] = std::byte{0x10};  // ACK
    put_u16(frame, 48, 0xffff);
    return joined(frame, pattern(payload_bytes));
}

Bytes segmentation_header(u16 segment_bytes) {
    const auto low = [](u16 value) { return static_cast<std::byte>(value); };
    const auto high = [](u16 value) { return static_cast<std::byte>(value >> 8); };
    return {std::byte{1},        std::byte{1},  std::byte{54}, std::byte{0},  low(segment_bytes),
            high(segment_bytes), std::byte{34}, std::byte{0},  std::byte{16}, std::byte{0}};
}

}  // namespace mayfly::tap_host
