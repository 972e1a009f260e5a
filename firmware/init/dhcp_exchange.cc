// SPDX-License-Identifier: Apache-2.0
#include "firmware/init/dhcp_exchange.h"

#include <ctime>

#include <linux/errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/poll.h>
#include <linux/random.h>
#include <sys/socket.h>

#include "firmware/init/system_call.h"

namespace mayfly::init {

namespace {

constexpr u64 kMsNs = 1'000'000;
constexpr u64 kSecondNs = 1'000 * kMsNs;
/// The first messages may get lost on a link that has just come up; each wait is twice as long as the one
/// before.
constexpr u64 kFirstWaitNs = 20 * kMsNs;
/// Requests without an answer after which another server gets its turn.
constexpr u32 kRequestsMax = 6;
constexpr u16 kIpOnWire = ETH_P_IP >> 8 | (ETH_P_IP & 0xff) << 8;

u64 now_ns() {
    struct timespec now {};
    system_call(__NR_clock_gettime, CLOCK_MONOTONIC, address(&now));
    return static_cast<u64>(now.tv_sec) * kSecondNs + static_cast<u64>(now.tv_nsec);
}

class Exchange {
  public:
    Exchange(int socket, u32 link_index, const Mac& mac) : socket_(socket), link_index_(link_index) {
        for (u32 i = 0; i < sizeof(mac.bytes); ++i) client_.mac[i] = mac.bytes[i];
        if (system_call(__NR_getrandom, address(&client_.transaction), sizeof(client_.transaction),
                        GRND_NONBLOCK) != sizeof(client_.transaction))
            client_.transaction = static_cast<u32>(now_ns());
    }

    long run(u64 limit_ns, DhcpAnswer& lease);

  private:
    enum class Heard : u8 { Nothing, Offer, Ack, Nak };

    void send() const;
    /// Until a message for us comes, or the time is over.
    Heard listen(u64 until_ns);
    Heard take(std::span<const u8> packet);

    int socket_;
    u32 link_index_;
    DhcpClient client_{};
    DhcpAnswer offer_{};
    bool has_offer_ = false;
};

void Exchange::send() const {
    u8 packet[kDhcpPacketBytes];
    write_dhcp_packet(packet, client_, has_offer_ ? &offer_ : nullptr);
    sockaddr_ll everybody{};
    everybody.sll_family = AF_PACKET;
    everybody.sll_protocol = kIpOnWire;
    everybody.sll_ifindex = static_cast<int>(link_index_);
    everybody.sll_halen = ETH_ALEN;
    for (u32 i = 0; i < ETH_ALEN; ++i) everybody.sll_addr[i] = 0xff;
    // A failed send counts as a lost message: the next follows.
    system_call(__NR_sendto, static_cast<u64>(socket_), address(packet), sizeof(packet), 0,
                address(&everybody), sizeof(everybody));
}

Exchange::Heard Exchange::take(std::span<const u8> packet) {
    const std::optional<DhcpAnswer> answer = read_dhcp_packet(packet, client_);
    if (!answer) return Heard::Nothing;
    if (!has_offer_) {
        if (answer->kind != DhcpKind::Offer) return Heard::Nothing;
        offer_ = *answer;
        return Heard::Offer;
    }
    if (answer->kind == DhcpKind::Offer || !belongs_to(*answer, offer_)) return Heard::Nothing;
    if (answer->kind == DhcpKind::Nak) return Heard::Nak;
    offer_ = *answer;
    return Heard::Ack;
}

Exchange::Heard Exchange::listen(u64 until_ns) {
    for (u64 now = now_ns(); now < until_ns; now = now_ns()) {
        struct pollfd waited {
            .fd = socket_, .events = POLLIN, .revents = 0
        };
        if (system_call(__NR_poll, address(&waited), 1, (until_ns - now + kMsNs - 1) / kMsNs) <= 0) continue;
        u8 packet[1500];  // a longer packet is truncated, and ignored
        const long got = system_call(__NR_recvfrom, static_cast<u64>(socket_), address(packet),
                                     sizeof(packet), MSG_DONTWAIT);
        if (got <= 0) continue;
        const Heard heard = take({packet, static_cast<std::size_t>(got)});
        if (heard != Heard::Nothing) return heard;
    }
    return Heard::Nothing;
}

long Exchange::run(u64 limit_ns, DhcpAnswer& lease) {
    const u64 end_ns = now_ns() + limit_ns;
    u64 wait_ns = kFirstWaitNs;
    u64 first_wait_ns = kFirstWaitNs;
    u32 requests = 0;
    for (u64 now = now_ns(); now < end_ns; now = now_ns()) {
        if (requests == kRequestsMax) has_offer_ = false, requests = 0;
        send();
        if (has_offer_) ++requests;
        const u64 until_ns = now + wait_ns < end_ns ? now + wait_ns : end_ns;
        wait_ns *= 2;
        switch (listen(until_ns)) {
            case Heard::Nothing: break;
            case Heard::Ack: lease = offer_; return 0;
            case Heard::Offer:
                has_offer_ = true;
                requests = 0;
                wait_ns = first_wait_ns;
                break;
            case Heard::Nak:
                // From the beginning, and each time later: a server may refuse us forever.
                has_offer_ = false;
                requests = 0;
                first_wait_ns *= 2;
                while (listen(until_ns) != Heard::Nothing) {
                }
                break;
        }
    }
    return -ETIMEDOUT;
}

}  // namespace

long ask_for_address(u32 link_index, const Mac& mac, u32 limit_seconds, DhcpAnswer& lease) {
    const long made = system_call(__NR_socket, AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (made < 0) return made;
    const int socket = static_cast<int>(made);
    sockaddr_ll place{};
    place.sll_family = AF_PACKET;
    place.sll_protocol = kIpOnWire;
    place.sll_ifindex = static_cast<int>(link_index);
    long result = system_call(__NR_bind, static_cast<u64>(socket), address(&place), sizeof(place));
    if (result == 0) result = Exchange(socket, link_index, mac).run(limit_seconds * kSecondNs, lease);
    close_file(socket);
    return result;
}

}  // namespace mayfly::init
