// SPDX-License-Identifier: Apache-2.0
#include "vmm/network/loopback_guard.h"

#include <arpa/inet.h>
#include <array>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "vmm/error/ints.h"

using namespace mayfly;

namespace {

std::vector<std::byte> head_to(const std::string& address) {
    std::vector<std::byte> head(54, std::byte{0xee});
    const bool is_v6 = address.find(':') != std::string::npos;
    head[12] = std::byte{static_cast<u8>(is_v6 ? 0x86 : 0x08)};
    head[13] = std::byte{static_cast<u8>(is_v6 ? 0xdd : 0x00)};
    REQUIRE(::inet_pton(is_v6 ? AF_INET6 : AF_INET, address.c_str(), &head[is_v6 ? 38 : 30]) == 1);
    return head;
}

}  // namespace

TEST_CASE("loopback guard: addresses by which a host reaches itself", "[loopback_guard]") {
    for (const char* address : {"127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "::1", "::",
                                "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:192.0.2.1", "::ffff:0.0.0.0"})
        CHECK(leads_to_loopback(head_to(address)));
    for (const char* address :
         {"192.0.2.1", "128.0.0.1", "126.255.255.255", "1.0.0.127", "255.255.255.255", "224.0.0.1",
          "169.254.1.1", "fe80::1", "2001:db8::1", "ff02::1", "100::1", "64:ff9b::127.0.0.1"})
        CHECK_FALSE(leads_to_loopback(head_to(address)));
}

TEST_CASE("loopback guard: a frame that is not IP passes, and a truncated header does not",
          "[loopback_guard]") {
    std::vector<std::byte> head = head_to("127.0.0.1");
    const std::span<const std::byte> all = head;
    for (std::size_t size = 14; size < 34; ++size) CHECK(leads_to_loopback(all.first(size)));
    CHECK(leads_to_loopback(all.first(34)));
    head[13] = std::byte{6};  // ARP
    CHECK_FALSE(leads_to_loopback(head));
    CHECK_FALSE(leads_to_loopback(all.first(14)));
    const std::vector<std::byte> v6 = head_to("2001:db8::1");
    for (std::size_t size = 14; size < 54; ++size) CHECK(leads_to_loopback(std::span(v6).first(size)));
}
