// SPDX-License-Identifier: Apache-2.0
#include "firmware/init/links.h"

#include <linux/errno.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <sys/socket.h>

#include "firmware/init/system_call.h"

namespace mayfly::init {

namespace {

/// Indices rise from 1 as interfaces are made: mayfly's at most eight, and those that the kernel makes
/// itself.
constexpr u32 kIndexMax = 256;

int make_socket(u64 family, u64 kind) {
    return static_cast<int>(system_call(__NR_socket, family, kind | SOCK_CLOEXEC, 0));
}

}  // namespace

/// A message of netlink(7), built in place.
class Links::Request {
  public:
    template <typename Body>
    Request(u16 type, u16 flags, const Body& body) {
        header_.nlmsg_type = type;
        header_.nlmsg_flags = static_cast<u16>(NLM_F_REQUEST | NLM_F_ACK | flags);
        put(&body, sizeof(body));
    }

    void add(u16 type, const void* value, u32 size_bytes) {
        const rtattr attribute{.rta_len = static_cast<u16>(RTA_LENGTH(size_bytes)), .rta_type = type};
        put(&attribute, sizeof(attribute));
        put(value, size_bytes);
    }

    const nlmsghdr* finish() {
        header_.nlmsg_len = static_cast<u32>(sizeof(header_)) + used_;
        return &header_;
    }

  private:
    /// All content is small: at most three attributes of 16 bytes.
    void put(const void* from, u32 size_bytes) {
        const auto* bytes = static_cast<const u8*>(from);
        for (u32 i = 0; i < size_bytes; ++i) body_[used_ + i] = bytes[i];
        used_ += NLMSG_ALIGN(size_bytes);
    }

    nlmsghdr header_{};
    u8 body_[128] = {};
    u32 used_ = 0;
};

void Links::open() {
    control_ = make_socket(AF_UNIX, SOCK_DGRAM);
    routes_ = make_socket(AF_NETLINK, SOCK_RAW);
}

Link Links::find(const Mac& mac) const {
    const auto control = static_cast<u64>(control_);
    for (u32 index = 1; index <= kIndexMax; ++index) {
        struct ifreq request {};
        request.ifr_ifindex = static_cast<int>(index);
        if (system_call(__NR_ioctl, control, SIOCGIFNAME, address(&request)) != 0) continue;
        Link link{.index = index, .name = {}};
        for (u32 i = 0; i + 1 < sizeof(link.name); ++i) link.name[i] = request.ifr_name[i];
        if (system_call(__NR_ioctl, control, SIOCGIFHWADDR, address(&request)) != 0) continue;
        bool is_match = request.ifr_hwaddr.sa_family == ARPHRD_ETHER;
        for (u32 i = 0; i < sizeof(mac.bytes); ++i)
            is_match = is_match && static_cast<u8>(request.ifr_hwaddr.sa_data[i]) == mac.bytes[i];
        if (is_match) return link;
    }
    return {};
}

long Links::ask(Request& request) const {
    const nlmsghdr* const message = request.finish();
    long result = system_call(__NR_sendto, static_cast<u64>(routes_), address(message), message->nlmsg_len);
    if (result < 0) return result;
    // The single answer to a request with an acknowledgement: the error code, then the request itself.
    struct {
        nlmsghdr header;
        nlmsgerr body;
        u8 rest[512];
    } answer{};
    result = system_call(__NR_recvfrom, static_cast<u64>(routes_), address(&answer), sizeof(answer));
    if (result < 0) return result;
    return answer.header.nlmsg_type == NLMSG_ERROR ? answer.body.error : -EBADMSG;
}

long Links::bring_up(u32 index) const {
    ifinfomsg link{};
    link.ifi_index = static_cast<int>(index);
    link.ifi_flags = link.ifi_change = IFF_UP;
    Request request(RTM_NEWLINK, 0, link);
    return ask(request);
}

long Links::set_mtu(u32 index, u32 mtu) const {
    ifinfomsg link{};
    link.ifi_index = static_cast<int>(index);
    Request request(RTM_NEWLINK, 0, link);
    request.add(IFLA_MTU, &mtu, sizeof(mtu));
    return ask(request);
}

long Links::add_address(u32 index, const IpAddress& address, u8 prefix_bits) const {
    ifaddrmsg body{};
    body.ifa_family = address.size_bytes == 4 ? AF_INET : AF_INET6;
    body.ifa_prefixlen = prefix_bits;
    body.ifa_flags = IFA_F_PERMANENT | (address.size_bytes == 4 ? 0 : IFA_F_NODAD);
    body.ifa_index = index;
    Request request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, body);
    request.add(IFA_LOCAL, address.bytes, address.size_bytes);
    request.add(IFA_ADDRESS, address.bytes, address.size_bytes);
    constexpr u8 kBroadcastBitsMax = 30;
    if (address.size_bytes == 4 && prefix_bits <= kBroadcastBitsMax) {
        u8 everybody[4];
        for (u32 i = 0; i < 4; ++i) {
            const u32 own_bits = prefix_bits <= i * 8       ? 0
                                 : prefix_bits - i * 8 >= 8 ? 8
                                                            : prefix_bits - i * 8;
            everybody[i] = static_cast<u8>(address.bytes[i] | 0xffU >> own_bits);
        }
        request.add(IFA_BROADCAST, everybody, sizeof(everybody));
    }
    return ask(request);
}

long Links::add_default_route(u32 index, const IpAddress& gateway) const {
    rtmsg route{};
    route.rtm_family = gateway.size_bytes == 4 ? AF_INET : AF_INET6;
    route.rtm_table = RT_TABLE_MAIN;
    route.rtm_protocol = RTPROT_STATIC;
    route.rtm_scope = RT_SCOPE_UNIVERSE;
    route.rtm_type = RTN_UNICAST;
    route.rtm_flags = RTNH_F_ONLINK;
    Request request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route);
    request.add(RTA_OIF, &index, sizeof(index));
    request.add(RTA_GATEWAY, gateway.bytes, gateway.size_bytes);
    return ask(request);
}

}  // namespace mayfly::init
