// SPDX-License-Identifier: Apache-2.0
// Init's system calls on an interface, in a network namespace of this test's own. A thread plays the other
// side: a DHCP server, and other hosts on the link.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <net/if.h>
#include <thread>

#include <fcntl.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "firmware/init/dhcp_exchange.h"
#include "firmware/init/links.h"
#include "tests/unit/firmware/init/dhcp_server.h"

using namespace mayfly;
using namespace mayfly::init;
using namespace mayfly::test;

namespace {

constexpr Mac kMac{{0x02, 0x11, 0x22, 0x33, 0x44, 0x55}};
constexpr std::size_t kEthernetBytes = 14;

std::string text_of(const char* path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

void enter_own_network() {
    static const bool is_done = [] {
        if (::unshare(CLONE_NEWNET) == 0 && ::access("/dev/net/tun", R_OK | W_OK) == 0) return true;
        std::perror("skipped: no network namespace or no /dev/net/tun for this test");
        std::_Exit(77);
    }();
    REQUIRE(is_done);
}

/// An interface with kMac, and the other end of its cable.
class Cable {
  public:
    Cable() {
        enter_own_network();
        fd_ = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
        ifreq request{};
        std::string("mf0").copy(request.ifr_name, IFNAMSIZ - 1);
        request.ifr_flags = IFF_TAP | IFF_NO_PI;
        REQUIRE(::ioctl(fd_, TUNSETIFF, &request) == 0);
        request.ifr_hwaddr.sa_family = 1;  // ARPHRD_ETHER
        std::ranges::copy(kMac.bytes, request.ifr_hwaddr.sa_data);
        REQUIRE(::ioctl(fd_, SIOCSIFHWADDR, &request) == 0);
        links_.open();
        link_ = links_.find(kMac);
        REQUIRE(link_.index != 0);
    }
    ~Cable() { ::close(fd_); }
    Cable(const Cable&) = delete;
    Cable& operator=(const Cable&) = delete;

    [[nodiscard]] const Links& links() const { return links_; }
    [[nodiscard]] const Link& link() const { return link_; }

    [[nodiscard]] int mtu() const {
        ifreq request{};
        std::string(link_.name).copy(request.ifr_name, IFNAMSIZ - 1);
        const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        const int result = ::ioctl(socket, SIOCGIFMTU, &request);
        ::close(socket);
        return result == 0 ? request.ifr_mtu : result;
    }

    /// The next DHCP message that the interface has sent, from its IP header on; empty once `until` is true.
    [[nodiscard]] Bytes receive(const std::function<bool()>& until) const {
        while (!until()) {
            pollfd waited{fd_, POLLIN, 0};
            ::poll(&waited, 1, 5);
            Bytes frame(2000);
            const ssize_t got = ::read(fd_, frame.data(), frame.size());
            if (got < static_cast<ssize_t>(kEthernetBytes + kOptionsAt) || frame[12] != 8 || frame[13] != 0)
                continue;
            return {frame.begin() + kEthernetBytes, frame.begin() + got};
        }
        return {};
    }
    /// A packet to the interface.
    void send(const Bytes& packet) const {
        Bytes frame{0x02, 0x11, 0x22, 0x33, 0x44, 0x55, 2, 0, 0, 0, 0, 1, 8, 0};
        frame.insert(frame.end(), packet.begin(), packet.end());
        static_cast<void>(::write(fd_, frame.data(), frame.size()));
    }

  private:
    int fd_ = -1;
    Links links_;
    Link link_{};
};

constexpr u8 kDiscover = 1;
constexpr u8 kOffer = 2;
constexpr u8 kRequest = 3;
constexpr u8 kAck = 5;
constexpr u8 kNak = 6;

u8 type_of(const Bytes& message) { return message[kOptionsAt + 2]; }

/// An answer to `message`, of the server 192.0.2.`server`, with the address 192.0.2.`address`.
Bytes answer_to(const Bytes& message, u8 type, u8 server = 1, u8 address = 77) {
    Bytes answer = answer_with(plus(type, {1, 4, 255, 255, 255, 0, 3, 4, 192, 0, 2, 1}));
    std::copy_n(message.begin() + kMessageAt + 4, 4, answer.begin() + kMessageAt + 4);
    answer[kMessageAt + 19] = address;
    answer[kOptionsAt + 8] = server;
    return answer;
}

struct Asked {
    long result = 0;
    DhcpAnswer lease{};
};

/// `serve` is called with each message, on a thread of its own.
Asked ask(const Cable& cable, u32 seconds, const std::function<void(const Bytes&)>& serve) {
    REQUIRE(cable.links().bring_up(cable.link().index) == 0);
    std::atomic<bool> is_over = false;
    std::thread server([&] {
        for (;;) {
            const Bytes message = cable.receive([&] { return is_over.load(); });
            if (message.empty()) return;
            serve(message);
        }
    });
    Asked asked;
    asked.result = ask_for_address(cable.link().index, kMac, seconds, asked.lease);
    is_over = true;
    server.join();
    return asked;
}

}  // namespace

TEST_CASE("an interface is found by its MAC address alone") {
    const Cable cable;
    CHECK(std::string(cable.link().name) == "mf0");
    CHECK(cable.link().index == ::if_nametoindex("mf0"));
    CHECK(cable.links().find(Mac{{0x02, 0x11, 0x22, 0x33, 0x44, 0x56}}).index == 0);
    CHECK(cable.links().find(Mac{}).index == 0);  // lo's, which is not Ethernet
}

TEST_CASE("an interface gets addresses, an MTU and the default route") {
    const Cable cable;
    const u32 index = cable.link().index;
    REQUIRE(cable.links().bring_up(index) == 0);
    CHECK(cable.links().set_mtu(index, 1400) == 0);
    CHECK(cable.mtu() == 1400);
    CHECK(cable.links().set_mtu(index, 1) == -EINVAL);
    const IpAddress first{{192, 0, 2, 2}, 4};
    CHECK(cable.links().add_address(index, first, 24) == 0);
    CHECK(cable.links().add_address(index, first, 24) == -EEXIST);
    CHECK(cable.links().add_address(index, IpAddress{{198, 51, 100, 9}, 4}, 31) == 0);
    const std::string tree = text_of("/proc/net/fib_trie");
    for (const char* address : {"192.0.2.2", "192.0.2.255", "198.51.100.9"}) {
        INFO(address);
        CHECK(tree.find(address) != std::string::npos);
    }
    CHECK(cable.links().add_default_route(index, IpAddress{{203, 0, 113, 1}, 4}) == 0);
    CHECK(cable.links().add_default_route(index, IpAddress{{203, 0, 113, 2}, 4}) == -EEXIST);
    CHECK(text_of("/proc/net/route").find("mf0\t00000000\t017100CB\t0003") != std::string::npos);
}

TEST_CASE("an IPv6 address can be used at once") {
    const Cable cable;
    if (::access("/proc/net/if_inet6", F_OK) != 0) {
        WARN("this kernel has no IPv6");
        return;
    }
    const u32 index = cable.link().index;
    REQUIRE(cable.links().bring_up(index) == 0);
    const IpAddress own{{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}, 16};
    const IpAddress gateway{{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9}, 16};
    CHECK(cable.links().add_address(index, own, 64) == 0);
    // The prefix, the scope, and the flags: permanent, and not tentative.
    const std::string addresses = text_of("/proc/net/if_inet6");
    const std::size_t at = addresses.find("20010db8000000000000000000000002");
    REQUIRE(at != std::string::npos);
    CHECK(addresses.substr(addresses.find(' ', at + 33), 9) == " 40 00 82");
    CHECK(cable.links().add_default_route(index, gateway) == 0);
    CHECK(text_of("/proc/net/ipv6_route").find("fe800000000000000000000000000009") != std::string::npos);
}

TEST_CASE("an offer is asked for and acknowledged") {
    const Cable cable;
    Bytes request;
    const Asked asked = ask(cable, 3, [&](const Bytes& message) {
        if (type_of(message) == kDiscover) cable.send(answer_to(message, kOffer));
        if (type_of(message) != kRequest) return;
        request = message;
        cable.send(answer_to(message, kAck));
    });
    REQUIRE(asked.result == 0);
    CHECK(asked.lease.kind == DhcpKind::Ack);
    CHECK(asked.lease.address.bytes[3] == 77);
    CHECK(asked.lease.prefix_bits == 24);
    CHECK(asked.lease.has_router);
    REQUIRE(request.size() > kOptionsAt + 22);
    CHECK(Bytes(request.begin() + kOptionsAt + 9, request.begin() + kOptionsAt + 22) ==
          Bytes{50, 4, 192, 0, 2, 77, 54, 4, 192, 0, 2, 1, 255});
}

TEST_CASE("messages that are lost are sent again") {
    const Cable cable;
    u32 lost = 0;
    const Asked asked = ask(cable, 3, [&](const Bytes& message) {
        const bool is_first_of_kind = lost == 0 || (lost < 4 && type_of(message) == kRequest);
        if (is_first_of_kind || lost == 1) return void(++lost);
        cable.send(answer_to(message, type_of(message) == kDiscover ? kOffer : kAck));
    });
    CHECK(asked.result == 0);
    CHECK(lost >= 2);
}

TEST_CASE("packets of others are ignored, and the first offer counts") {
    const Cable cable;
    const Asked asked = ask(cable, 3, [&](const Bytes& message) {
        if (type_of(message) == kDiscover) {
            Bytes other = answer_to(message, kOffer, 66, 66);
            other[kMessageAt + 4] ^= 1;  // of another exchange
            cable.send(other);
            cable.send(answer_to(message, kAck, 66, 66));  // for an address that was not requested
            Bytes broken = answer_to(message, kOffer, 66, 66);
            broken[kOptionsAt + 1] = 200;
            cable.send(broken);
            cable.send(answer_to(message, kOffer));
            cable.send(answer_to(message, kOffer, 66, 66));
            return;
        }
        cable.send(answer_to(message, kNak, 66));
        cable.send(answer_to(message, kAck, 66));
        cable.send(answer_to(message, kAck, 1, 66));
        cable.send(answer_to(message, kAck));
    });
    REQUIRE(asked.result == 0);
    CHECK(asked.lease.address.bytes[3] == 77);
    CHECK(asked.lease.server.bytes[3] == 1);
}

TEST_CASE("a refused request begins anew, as does an unacknowledged one") {
    for (const bool is_refused : {true, false}) {
        const Cable cable;
        u8 server = 1;
        u32 requests = 0;
        const Asked asked = ask(cable, 10, [&](const Bytes& message) {
            if (type_of(message) == kDiscover) return cable.send(answer_to(message, kOffer, server, server));
            if (server == 2) return cable.send(answer_to(message, kAck, server, server));
            // The first server refuses, or is gone.
            if (is_refused) cable.send(answer_to(message, kNak, server));
            if (is_refused || ++requests == 6) server = 2;
        });
        INFO(is_refused);
        REQUIRE(asked.result == 0);
        CHECK(asked.lease.server.bytes[3] == 2);
    }
}

TEST_CASE("silence and a flood of answers both end in time") {
    for (const bool is_flooded : {false, true}) {
        const Cable cable;
        std::atomic<bool> is_over = false;
        std::atomic<u64> sent = 0;
        std::thread flood([&] {
            // Never acknowledged; broken; for other clients. As fast as possible.
            while (is_flooded && !is_over) {
                for (const u8 type : Bytes{kOffer, kAck, kNak}) cable.send(answer_with(plus(type, {})));
                sent += 3;
            }
        });
        u32 discovers = 0;
        u32 requests = 0;
        const Asked asked = ask(cable, 1, [&](const Bytes& message) {
            type_of(message) == kDiscover ? ++discovers : ++requests;
            if (is_flooded) cable.send(answer_to(message, type_of(message) == kDiscover ? kOffer : kNak));
        });
        is_over = true;
        flood.join();
        CHECK(asked.result == -ETIMEDOUT);
        CHECK(discovers >= 2);
        // A flood of answers does not cause a flood of requests.
        CHECK(discovers + requests < 30);
        CHECK((sent > 0) == is_flooded);
    }
}

TEST_CASE("an interface that is gone is an error, not a wait") {
    u32 index = 0;
    {
        const Cable cable;
        index = cable.link().index;
    }
    DhcpAnswer lease{};
    CHECK(ask_for_address(index, kMac, 10, lease) == -ENODEV);
}
