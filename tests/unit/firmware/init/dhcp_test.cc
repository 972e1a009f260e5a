// SPDX-License-Identifier: Apache-2.0
// A DHCP client's messages, and its reading of answers.
#include "firmware/init/dhcp.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/unit/firmware/init/dhcp_server.h"

using namespace mayfly;
using namespace mayfly::init;
using namespace mayfly::test;

namespace {

std::optional<DhcpAnswer> read(const Bytes& packet) { return read_dhcp_packet(packet, kClient); }
std::optional<DhcpAnswer> offer_with(const Bytes& more) { return read(answer_with(plus(2, more))); }

std::string text(Ipv4 address) {
    std::array<char, kIpv4TextBytes> text{};
    const std::size_t size = write_text(address, text);
    CHECK(text[size] == '\0');
    return {text.data(), size};
}

}  // namespace

TEST_CASE("an address is written with four numbers") {
    CHECK(text({{0, 0, 0, 0}}) == "0.0.0.0");
    CHECK(text({{255, 255, 255, 255}}) == "255.255.255.255");
    CHECK(text({{10, 9, 100, 101}}) == "10.9.100.101");
}

TEST_CASE("an offer with every option") {
    const auto offer =
        offer_with({1, 4, 255, 255, 255, 0,   3, 8,  192, 0,    2,    1, 192, 0,  2, 9, 6, 8,  192,
                    0, 2, 53,  198, 51,  100, 1, 26, 2,   0xff, 0xf0, 0, 0,   51, 4, 0, 0, 14, 16});
    REQUIRE(offer);
    CHECK(offer->kind == DhcpKind::Offer);
    CHECK(text(offer->server) == "192.0.2.1");
    CHECK(text(offer->address) == "192.0.2.77");
    CHECK(offer->prefix_bits == 24);
    CHECK(offer->has_router);
    CHECK(text(offer->router) == "192.0.2.1");
    REQUIRE(offer->name_servers == 2);
    CHECK(text(offer->name_server[0]) == "192.0.2.53");
    CHECK(text(offer->name_server[1]) == "198.51.100.1");
    CHECK(offer->mtu == 65520);
}

TEST_CASE("an offer with an address only") {
    const auto offer = offer_with({});
    REQUIRE(offer);
    CHECK(offer->prefix_bits == 32);
    CHECK_FALSE(offer->has_router);
    CHECK(offer->name_servers == 0);
    CHECK(offer->mtu == 0);
    // Without the option that ends them, and with padding around.
    CHECK(read(answer_with({0, 0, 53, 1, 5, 0, 54, 4, 192, 0, 2, 1})));
    // Bytes after the end are not read.
    CHECK(read(answer_with({53, 1, 5, 54, 4, 192, 0, 2, 1, 255, 1, 200, 0})));
}

TEST_CASE("no more name servers are taken than fit, and only addresses of hosts") {
    const auto offer =
        offer_with({6, 24, 0, 0, 0, 0, 1, 1, 1, 1, 224, 0, 0, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4});
    REQUIRE(offer);
    REQUIRE(offer->name_servers == 3);
    CHECK(text(offer->name_server[2]) == "3.3.3.3");
    CHECK(offer_with({6, 4, 127, 0, 0, 53})->name_servers == 0);
}

TEST_CASE("a router's address that no host can have is ignored") {
    for (const Bytes& router : {Bytes{3, 4, 0, 0, 0, 0}, Bytes{3, 4, 127, 0, 0, 1},
                                Bytes{3, 4, 255, 255, 255, 255}, Bytes{3, 4, 192, 0, 2, 77}})
        CHECK_FALSE(offer_with(router)->has_router);
}

TEST_CASE("an MTU that would break the link is not taken") {
    CHECK(offer_with({26, 2, 0, 68})->mtu == 0);
    CHECK(offer_with({26, 2, 0x02, 0x3f})->mtu == 0);
    CHECK(offer_with({26, 2, 0x02, 0x40})->mtu == 576);
}

TEST_CASE("a mask is ones, not too few, and then zeroes") {
    CHECK(offer_with({1, 4, 255, 0, 0, 0})->prefix_bits == 8);
    CHECK(offer_with({1, 4, 255, 255, 255, 254})->prefix_bits == 31);
    CHECK(offer_with({1, 4, 255, 255, 255, 255})->prefix_bits == 32);
    for (const Bytes& mask : {Bytes{1, 4, 0, 0, 0, 0}, Bytes{1, 4, 128, 0, 0, 0}, Bytes{1, 4, 254, 0, 0, 0},
                              Bytes{1, 4, 255, 0, 255, 0}, Bytes{1, 4, 0, 0, 0, 255}})
        CHECK_FALSE(offer_with(mask));
}

TEST_CASE("an answer with options of the wrong size is ignored") {
    for (const Bytes& option :
         {Bytes{53, 2, 2, 2}, Bytes{53, 0}, Bytes{54, 3, 1, 2, 3}, Bytes{54, 0}, Bytes{1, 3, 255, 255, 255},
          Bytes{1, 0}, Bytes{3, 0}, Bytes{3, 5, 1, 1, 1, 1, 1}, Bytes{6, 0}, Bytes{6, 3, 1, 1, 1},
          Bytes{26, 1, 9}, Bytes{26, 4, 0, 0, 5, 220}})
        CHECK_FALSE(offer_with(option));
    // The last one goes beyond the message, or has no size at all.
    CHECK_FALSE(read(answer_with({53, 1, 2, 54, 4, 192, 0, 2, 1, 6, 4, 1, 1, 1})));
    CHECK_FALSE(read(answer_with({53, 1, 2, 54, 4, 192, 0, 2, 1, 12, 255})));
    CHECK_FALSE(read(answer_with({53, 1, 2, 54, 4, 192, 0, 2, 1, 12})));
}

TEST_CASE("an answer without its type, without its server, or of a kind that no server sends is ignored") {
    CHECK_FALSE(read(answer_with({54, 4, 192, 0, 2, 1, 255})));
    CHECK_FALSE(read(answer_with({53, 1, 2, 255})));
    CHECK_FALSE(read(answer_with({})));
    for (const u8 type : Bytes{0, 1, 3, 4, 7, 8, 255}) CHECK_FALSE(read(answer_with(plus(type, {}))));
    CHECK(read(answer_with(plus(5, {})))->kind == DhcpKind::Ack);
}

TEST_CASE("an address that no host can have is ignored, but a refusal needs none") {
    for (const Bytes& address : {Bytes{0, 0, 0, 0}, Bytes{0, 1, 2, 3}, Bytes{127, 0, 0, 1},
                                 Bytes{224, 0, 0, 1}, Bytes{255, 255, 255, 255}}) {
        for (const u8 type : Bytes{2, 5}) {
            Bytes packet = answer_with(plus(type, {}));
            std::ranges::copy(address, packet.begin() + kMessageAt + 16);
            CHECK_FALSE(read(packet));
        }
        Bytes refusal = answer_with(plus(6, {}));
        std::ranges::copy(address, refusal.begin() + kMessageAt + 16);
        CHECK(read(refusal)->kind == DhcpKind::Nak);
    }
}

TEST_CASE("a packet for another client is not an answer") {
    const Bytes good = answer_with(plus(2, {}));
    REQUIRE(read(good));
    struct Change {
        std::size_t at;
        u8 value;
    };
    const Change changes[] = {
        {0, 0x65},                 // IPv6
        {0, 0x44},                 // a header that is too short
        {0, 0x4f},                 // options of IP, which shift the rest
        {9, 6},                    // TCP
        {6, 0x20},                 // the first of several fragments
        {7, 1},                    // a later one
        {21, 68},                  // from a client
        {23, 67},                  // to a server
        {kMessageAt, 1},           // a request
        {kMessageAt + 1, 6},       // not Ethernet
        {kMessageAt + 2, 16},      // a longer address
        {kMessageAt + 4, 0x13},    // another exchange's
        {kMessageAt + 7, 0x79},    //
        {kMessageAt + 28, 0x03},   // another client's
        {kMessageAt + 33, 0x56},   //
        {kMessageAt + 236, 0x64},  // BOOTP's
        {kMessageAt + 239, 0x62},  //
    };
    for (const auto& [at, value] : changes) {
        Bytes packet = good;
        packet[at] = value;
        INFO("byte " << at);
        CHECK_FALSE(read(packet));
    }
    // The flag "don't fragment" makes no difference.
    Bytes whole = good;
    whole[6] = 0x40;
    CHECK(read(whole));
}

TEST_CASE("an answer with contradicting sizes is ignored") {
    const Bytes good = answer_with(plus(2, {6, 4, 1, 1, 1, 1}));
    for (std::size_t size = 0; size < good.size(); ++size)
        CHECK_FALSE(read(Bytes(good.begin(), good.begin() + static_cast<long>(size))));
    const auto with = [&](std::size_t at, std::size_t value) {
        Bytes packet = good;
        put_u16(packet, at, value);
        return read(packet);
    };
    for (const std::size_t total :
         {std::size_t{0}, std::size_t{19}, std::size_t{27}, good.size() + 1, std::size_t{65535}})
        CHECK_FALSE(with(2, total));
    for (const std::size_t size : {std::size_t{0}, std::size_t{7}, std::size_t{8}, std::size_t{247},
                                   good.size() - 19, std::size_t{65535}})
        CHECK_FALSE(with(24, size));
    // Ethernet fills short frames up.
    Bytes padded = good;
    padded.resize(good.size() + 46, 0xee);
    CHECK(read(padded)->name_servers == 1);
}

TEST_CASE("an acknowledgement must come from the offering server, for the same address") {
    const DhcpAnswer offer = *offer_with({});
    Bytes packet = answer_with(plus(5, {}));
    CHECK(belongs_to(*read(packet), offer));
    packet[kMessageAt + 19] = 78;
    CHECK_FALSE(belongs_to(*read(packet), offer));
    packet[kOptionsAt + 2] = 6;
    CHECK(belongs_to(*read(packet), offer));
    packet[kOptionsAt + 8] = 2;
    CHECK_FALSE(belongs_to(*read(packet), offer));
}

TEST_CASE("a client broadcasts, and then requests the offered address") {
    std::array<u8, kDhcpPacketBytes> packet{};
    packet.fill(0xaa);
    write_dhcp_packet(packet, kClient, nullptr);
    const auto part = [&](std::size_t at, std::size_t size) {
        return Bytes(packet.begin() + static_cast<long>(at), packet.begin() + static_cast<long>(at + size));
    };
    CHECK(part(0, 4) == Bytes{0x45, 0, 328 >> 8, 328 & 0xff});
    CHECK(part(8, 2) == Bytes{64, 17});
    CHECK(part(12, 8) == Bytes{0, 0, 0, 0, 255, 255, 255, 255});
    unsigned sum = 0;
    for (std::size_t i = 0; i < 20; i += 2) sum += static_cast<unsigned>(packet[i] << 8 | packet[i + 1]);
    CHECK((sum & 0xffff) + (sum >> 16) == 0xffff);
    CHECK(part(20, 8) == Bytes{0, 68, 0, 67, 308 >> 8, 308 & 0xff, 0, 0});
    CHECK(part(kMessageAt, 8) == Bytes{1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78});
    CHECK(part(kMessageAt + 8, 20) == Bytes(20));
    CHECK(part(kMessageAt + 28, 6) == Bytes{0x02, 0x11, 0x22, 0x33, 0x44, 0x55});
    CHECK(part(kMessageAt + 34, 202) == Bytes(202));
    CHECK(part(kMessageAt + 236, 4) == Bytes{0x63, 0x82, 0x53, 0x63});
    CHECK(part(kOptionsAt, 10) == Bytes{53, 1, 1, 55, 4, 1, 3, 6, 26, 255});
    CHECK(part(kOptionsAt + 10, 50) == Bytes(50));

    const DhcpAnswer offer = *offer_with({});
    write_dhcp_packet(packet, kClient, &offer);
    CHECK(part(kOptionsAt, 22) ==
          Bytes{53, 1, 3, 55, 4, 1, 3, 6, 26, 50, 4, 192, 0, 2, 77, 54, 4, 192, 0, 2, 1, 255});
    CHECK(part(kOptionsAt + 22, 38) == Bytes(38));
}
