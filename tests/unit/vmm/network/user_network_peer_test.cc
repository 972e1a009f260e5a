// SPDX-License-Identifier: Apache-2.0
// --net user with the real passt, in a network namespace of the test's own: where frames come out.
#include <arpa/inet.h>
#include <array>
#include <csignal>
#include <cstdlib>
#include <netinet/in.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/vmm/network/arp_frame.h"
#include "tests/unit/vmm/network/tap_host.h"
#include "vmm/network/interface.h"
#include "vmm/network/user_network.h"
#include "vmm/process/program_path.h"

namespace {

using namespace mayfly;

using Address = std::array<u8, 4>;
constexpr Address kHostAddress{192, 0, 2, 10};
constexpr Address kGateway{192, 0, 2, 1};
constexpr Address kLoopback{127, 0, 0, 1};
constexpr u16 kPort = 4711;

void enter_network() {
    static const bool is_there = [] {
        tap_host::enter_own_network();
        tap_host::create_persistent("up1", true, false);
        tap_host::give_address("up1", kHostAddress, kGateway);
        REQUIRE(Interfaces::open().value().bring_up("lo"));
        return true;
    }();
    static_cast<void>(is_there);
    if (find_program("passt")) return;
    std::fprintf(stderr, "skipped: passt is not installed\n");
    std::_Exit(77);
}

u32 sum_of(std::span<const std::byte> bytes, u32 sum = 0) {
    for (std::size_t i = 0; i < bytes.size(); i += 2)
        sum += std::to_integer<u32>(bytes[i]) << 8 | std::to_integer<u32>(bytes[i + 1]);
    return sum;
}

void put_checksum(Bytes& frame, std::size_t at, u32 sum) {
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    frame[at] = static_cast<std::byte>(~sum >> 8 & 0xff);
    frame[at + 1] = static_cast<std::byte>(~sum & 0xff);
}

/// "May I connect?", from the guest, behind the virtio header.
Bytes tcp_syn(Address to, u16 port) {
    Bytes frame(12 + 14 + 20 + 20);
    std::size_t at = 12;
    const auto put = [&](std::initializer_list<int> bytes) {
        for (const int byte : bytes) frame[at++] = static_cast<std::byte>(byte);
    };
    put({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 0});
    put({0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0});
    put({kHostAddress[0], kHostAddress[1], kHostAddress[2], kHostAddress[3], to[0], to[1], to[2], to[3]});
    put({0x30, 0x39, port >> 8, port & 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0x72, 0x10, 0, 0, 0, 0});
    const std::span<const std::byte> bytes = frame;
    put_checksum(frame, 12 + 24, sum_of(bytes.subspan(26, 20)));
    put_checksum(frame, 12 + 50, sum_of(bytes.subspan(46, 20), sum_of(bytes.subspan(38, 8), 6 + 20)));
    return frame;
}

/// Whether the frame is a TCP segment to this port with SYN set.
bool is_syn_to(const Bytes& frame, u16 port) {
    return frame.size() >= 12 + 54 && frame[12 + 12] == std::byte{8} && frame[12 + 13] == std::byte{0} &&
           frame[12 + 23] == std::byte{6} && frame[12 + 36] == static_cast<std::byte>(port >> 8) &&
           frame[12 + 37] == static_cast<std::byte>(port & 0xff) &&
           (frame[12 + 47] & std::byte{2}) != std::byte{0};
}

sockaddr_in socket_address(u16 port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/// A server on the host's loopback.
class Server {
  public:
    Server() : fd_(UniqueFd::adopt(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))) {
        const int one = 1;
        REQUIRE(::setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
        const sockaddr_in address = socket_address(kPort);
        // SAFETY: the system call takes every kind of address by this type, with its size.
        REQUIRE(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
        REQUIRE(::listen(fd_.get(), 8) == 0);
    }
    [[nodiscard]] bool is_reached(int within_ms) const {
        pollfd here{fd_.get(), POLLIN, 0};
        return ::poll(&here, 1, within_ms) == 1;
    }

  private:
    UniqueFd fd_;
};

struct Running {
    explicit Running(UserNetworkOptions options) {
        auto started = UserNetwork::start(std::move(options), [](const std::string&) {});
        REQUIRE(started);
        network = std::move(*started);
        network->backend().set_client(&client);
        REQUIRE(network->attach(*loop.loop));
        loop.run();
    }
    bool send(const Bytes& frame) { return send_bytes(network->backend(), frame) == NetStatus::Done; }
    /// Waits until passt has come up.
    bool answers() {
        send(arp_request(kHostAddress, kGateway));
        return comes_true([&] { return !receive_bytes(network->backend()).bytes.empty(); });
    }

    CountingClient client;
    std::unique_ptr<UserNetwork> network;
    RunningLoop loop;
};

}  // namespace

TEST_CASE("user network: the host's loopback is out of reach", "[user_network]") {
    enter_network();
    const Server server;
    Running running({});
    REQUIRE(running.answers());
    for (const Address to : {kGateway, kLoopback, Address{127, 1, 2, 3}, Address{0, 0, 0, 0}}) {
        running.send(tcp_syn(to, kPort));
        CHECK_FALSE(server.is_reached(300));
    }
}

TEST_CASE("user network: the gateway leads to the host's loopback on request", "[user_network]") {
    enter_network();
    const Server server;
    Running running({.forwards = {}, .mtu = {}, .has_host_loopback = true});
    REQUIRE(running.answers());
    running.send(tcp_syn(kGateway, kPort));
    CHECK(server.is_reached(2000));
}

TEST_CASE("user network: a port of the host's leads into the guest", "[user_network]") {
    enter_network();
    Running running({.forwards = {{PortForward::Protocol::Tcp, "127.0.0.1", 8080, 80}}, .mtu = {}});
    const UniqueFd caller = UniqueFd::adopt(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    REQUIRE(running.answers());
    const sockaddr_in address = socket_address(8080);
    // SAFETY: as in Server.
    static_cast<void>(::connect(caller.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)));
    CHECK(comes_true([&] { return is_syn_to(receive_bytes(running.network->backend()).bytes, 80); }));
}
