// SPDX-License-Identifier: Apache-2.0
// The records of the guest's networks for init.
#include "vmm/machine/boot/network_record.h"

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

constexpr MacAddress kMac{0x02, 0, 0x5e, 0x10, 0xab, 0xcd};

NetConfig net_of(NetConfig::Kind kind) {
    NetConfig net;
    net.kind = kind;
    return net;
}

InterfaceAddress at(const std::string& text, u8 bits) { return {parse_ip_address(text).value(), bits}; }

}  // namespace

TEST_CASE("a tap is brought up, and uses DHCP on request", "[network_record]") {
    NetConfig tap = net_of(NetConfig::Kind::Tap);
    CHECK(network_record(tap, kMac) == "02005e10abcd");
    CHECK(network_modules({tap}).empty());
    tap.guest.wants_dhcp = true;
    CHECK(network_record(tap, kMac) == "02005e10abcd dhcp=10");
    CHECK(network_modules({net_of(NetConfig::Kind::Tap), tap}) == std::vector<std::string_view>{"af_packet"});
}

TEST_CASE("addresses are digits for the kernel and text for people", "[network_record]") {
    NetConfig tap = net_of(NetConfig::Kind::Tap);
    tap.guest.addresses = {at("192.0.2.2", 24), at("2001:db8::2", 64)};
    tap.guest.gateways = {at("192.0.2.1", 0).address, at("fe80::1", 0).address};
    tap.guest.name_servers = {at("2001:db8::53", 0).address};
    CHECK(network_record(tap, kMac) ==
          "02005e10abcd ip=c0000202/24=192.0.2.2 ip=20010db8000000000000000000000002/64=2001:db8::2 "
          "gw=c0000201 gw=fe800000000000000000000000000001 dns=2001:db8::53");
}

TEST_CASE("passt is asked for an IPv4 address unless one is given", "[network_record]") {
    NetConfig user = net_of(NetConfig::Kind::User);
    CHECK(network_record(user, kMac) == "02005e10abcd near dhcp=3 spare=169.254.1.1");
    CHECK(network_record(net_of(NetConfig::Kind::Passt), kMac) == "02005e10abcd near dhcp=3");
    CHECK(network_modules({user}) == std::vector<std::string_view>{"af_packet"});
    user.has_host_loopback = true;
    user.guest.addresses = {at("2001:db8::2", 64)};
    CHECK(network_record(user, kMac) ==
          "02005e10abcd ip=20010db8000000000000000000000002/64=2001:db8::2 near dhcp=3");
    user.guest.addresses = {at("10.0.2.15", 24)};
    CHECK(network_record(user, kMac) == "02005e10abcd ip=0a00020f/24=10.0.2.15 near");
    CHECK(network_modules({user}).empty());
}
