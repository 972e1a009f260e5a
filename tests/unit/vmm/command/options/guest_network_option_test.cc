// SPDX-License-Identifier: Apache-2.0
// The configuration of the guest's interfaces in --net.
#include "vmm/command/options/guest_network_option.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "vmm/command/options/device_options.h"

using namespace mayfly;

namespace {

GuestNetwork guest_of(const std::string& words) {
    const Result<NetConfig> net = parse_net(words);
    INFO(words << ": " << (net ? "" : net.error().message()));
    REQUIRE(net);
    return net->guest;
}

void check_message(const Error& error, std::string_view words) {
    CHECK(error.kind() == ErrorKind::Invalid);
    INFO(error.message());
    CHECK(error.message().find(words) != std::string::npos);
    CHECK(error.message().find('\n') == std::string::npos);
}

/// Behind "tap=t,".
void check_refused(const std::string& words, std::string_view why) {
    const Result<NetConfig> net = parse_net("tap=t," + words);
    INFO(words);
    REQUIRE_FALSE(net);
    check_message(net.error(), why);
}

std::vector<NetConfig> nets_of(const std::vector<std::string>& words) {
    std::vector<NetConfig> nets;
    for (const std::string& one : words) {
        const Result<NetConfig> net = parse_net(one);
        INFO(one << ": " << (net ? "" : net.error().message()));
        REQUIRE(net);
        nets.push_back(*net);
    }
    return nets;
}

void check_together_refused(const std::vector<std::string>& words, std::string_view why) {
    const Result<void> checked = check_guest_networks(nets_of(words), true);
    REQUIRE_FALSE(checked);
    check_message(checked.error(), why);
}

}  // namespace

TEST_CASE("a network has no addresses unless some are given", "[guest_network]") {
    CHECK(guest_of("tap=t").is_empty());
    CHECK(guest_of("user,mtu=1400").is_empty());
}

TEST_CASE("addresses, gateways and name servers of both families", "[guest_network]") {
    const GuestNetwork guest = guest_of(
        "tap=t,ip=192.0.2.2/24,gw=192.0.2.1,dns=192.0.2.53,mtu=1400,ip=2001:DB8::2/64,ip=10.0.0.1/31,"
        "gw=fe80::1,dns=2001:db8::0:53");
    REQUIRE(guest.addresses.size() == 3);
    CHECK(print(guest.addresses[0].address) == "192.0.2.2");
    CHECK(guest.addresses[0].prefix_bits == 24);
    CHECK(print(guest.addresses[1].address) == "2001:db8::2");
    CHECK(guest.addresses[1].prefix_bits == 64);
    CHECK(guest.addresses[2].prefix_bits == 31);
    REQUIRE(guest.gateways.size() == 2);
    CHECK(print(guest.gateways[0]) == "192.0.2.1");
    CHECK(print(guest.gateways[1]) == "fe80::1");
    REQUIRE(guest.name_servers.size() == 2);
    CHECK(print(guest.name_servers[1]) == "2001:db8::53");
    CHECK_FALSE(guest.wants_dhcp);
    CHECK(guest_of("user,ip=dhcp").wants_dhcp);
    CHECK(guest_of("tap=t,ip=dhcp,ip=2001:db8::2/64").wants_dhcp);
    // A network of one address has its gateway elsewhere.
    CHECK(guest_of("tap=t,ip=192.0.2.2/32,gw=198.51.100.1").gateways.size() == 1);
    CHECK(guest_of("tap=t,ip=2001:db8::2/128,gw=2001:db8:1::1").gateways.size() == 1);
    CHECK(guest_of("tap=t,dns=192.0.2.53").name_servers.size() == 1);
}

TEST_CASE("an error in an address is named", "[guest_network]") {
    for (const char* none : {"", "x", "192.0.2", "192.0.2.256", "2001:db8", "fe80::1%eth0", "DHCP", "1::2::3",
                             "192.0.2.1 ", "host"}) {
        check_refused("ip=" + std::string(none) + "/24", "is neither an IPv4 nor an IPv6 address");
        check_refused("gw=" + std::string(none), "is neither an IPv4 nor an IPv6 address");
        check_refused("dns=" + std::string(none), "is neither an IPv4 nor an IPv6 address");
    }
    check_refused("ip=192.0.2.2", "--net ip=192.0.2.2: the length of the prefix is missing (ip=192.0.2.2/24");
    check_refused("ip=2001:db8::2", "the length of the prefix is missing");
    for (const char* bits : {"", "0", "33", "-1", "24x", "255.255.255.0", "24/24"})
        check_refused("ip=192.0.2.2/" + std::string(bits),
                      "the prefix of an IPv4 address has 1 to 32 bits, not '" + std::string(bits) + "'");
    check_refused("ip=2001:db8::2/129", "1 to 128 bits, not '129'");
    check_refused("ip", "'ip'");
    check_refused("ip=192.0.2.0/24", "is the network itself");
    check_refused("ip=192.0.2.255/24", "is everybody in the network");
    check_refused("ip=192.0.2.4/30", "is the network itself");
    CHECK(guest_of("tap=t,ip=192.0.2.4/31").addresses.size() == 1);
    CHECK(guest_of("tap=t,ip=192.0.2.255/16").addresses.size() == 1);
    CHECK(guest_of("tap=t,ip=192.0.2.0/16").addresses.size() == 1);
    check_refused("ip=192.0.2.2/24,ip=192.0.2.2/16", "is given twice");
}

TEST_CASE("addresses that no interface can have are refused", "[guest_network]") {
    struct Case {
        const char* address;
        const char* why;
    };
    constexpr Case kCases[] = {
        {"0.0.0.0", "nobody's"},
        {"0.1.2.3", "nobody's"},
        {"127.0.0.1", "loopback's"},
        {"224.0.0.1", "group's"},
        {"239.255.255.255", "group's"},
        {"240.0.0.1", "above"},
        {"255.255.255.255", "above"},
        {"::", "nobody's"},
        {"::1", "loopback's"},
        {"ff02::1", "group's"},
        {"::ffff:192.0.2.1", "in IPv6's clothes"},
    };
    for (const auto& [address, why] : kCases) {
        check_refused(std::string("ip=") + address + "/8", why);
        check_refused(std::string("gw=") + address, why);
        check_refused(std::string("dns=") + address, why);
    }
    check_refused("dns=fe80::1", "of one link");
    check_refused("dns=192.0.2.1,dns=192.0.2.1", "twice");
}

TEST_CASE("a gateway is on the link", "[guest_network]") {
    check_refused("ip=192.0.2.2/24,gw=192.0.3.1",
                  "--net gw=192.0.3.1: is not in the network of 192.0.2.2/24 (ip=192.0.2.2/24,gw=192.0.2.1");
    check_refused("gw=192.0.3.1,ip=192.0.2.2/24,ip=198.51.100.2/30",
                  "not in the network of 192.0.2.2/24, 198.51.100.2/30");
    check_refused("ip=2001:db8::2/64,gw=2001:db8:0:1::1", "not in the network");
    check_refused("ip=192.0.2.2/24,gw=192.0.2.2", "the guest's own address");
    check_refused("gw=192.0.2.1", "needs an ip= of IPv4, which is not given");
    check_refused("ip=192.0.2.2/24,gw=2001:db8::1", "needs an ip= of IPv6");
    check_refused("gw=fe80::1", "needs an ip= of IPv6");
    check_refused("ip=2001:db8::2/64,gw=192.0.2.1", "needs an ip= of IPv4");
    check_refused("ip=dhcp,gw=192.0.2.1", "DHCP brings its own gateway");
    check_refused("ip=192.0.2.2/24,gw=192.0.2.1,gw=192.0.2.3", "a second IPv4 gateway");
    check_refused("ip=dhcp,ip=192.0.2.2/24", "ip=dhcp");
}

TEST_CASE("networks do not contradict each other", "[guest_network]") {
    CHECK(check_guest_networks(nets_of({"tap=a,ip=192.0.2.2/24,gw=192.0.2.1,ip=fe80::2/64",
                                        "tap=b,ip=198.51.100.2/24,ip=2001:db8::2/64,gw=fe80::1,ip=fe80::2/64",
                                        "user", "tap=d,mac=52:54:00:00:00:01"}),
                               true));
    check_together_refused({"tap=a,ip=192.0.2.2/24", "tap=b,ip=192.0.2.2/16"}, "is given to two networks");
    check_together_refused({"tap=a,ip=192.0.2.2/24,gw=192.0.2.1", "tap=b,ip=198.51.100.2/24,gw=198.51.100.1"},
                           "another --net has the IPv4 default route");
    check_together_refused({"tap=a,dns=1.1.1.1,dns=2.2.2.2", "tap=b,dns=3.3.3.3,dns=4.4.4.4"},
                           "4 times --net dns=; resolv.conf takes 3");
    check_together_refused({"tap=a,mac=52:54:00:00:00:01", "tap=b,mac=52:54:00:00:00:01"}, "the same mac=");
}

TEST_CASE("only mayfly's init gives addresses", "[guest_network]") {
    CHECK(check_guest_networks(nets_of({"tap=a", "user", "tap=b,mac=52:54:00:00:00:01"}), false));
    for (const char* words : {"tap=a,ip=192.0.2.2/24", "user,dns=192.0.2.1", "user,ip=dhcp"}) {
        const Result<void> checked = check_guest_networks(nets_of({words}), false);
        REQUIRE_FALSE(checked);
        check_message(checked.error(), "belong to --exec, which is not given");
    }
}
