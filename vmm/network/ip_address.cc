// SPDX-License-Identifier: Apache-2.0
#include "vmm/network/ip_address.h"

#include <algorithm>
#include <arpa/inet.h>

namespace mayfly {

namespace {

int family_of(const IpAddress& address) { return address.is_ipv6 ? AF_INET6 : AF_INET; }

bool is_zero(u8 byte) { return byte == 0; }

}  // namespace

bool IpAddress::is_link_local() const { return is_ipv6 && bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80; }

bool IpAddress::shares_prefix(const IpAddress& other, unsigned prefix_bits) const {
    if (is_ipv6 != other.is_ipv6) return false;
    for (unsigned i = 0; i * 8 < prefix_bits; ++i) {
        const unsigned bits = std::min(prefix_bits - i * 8, 8U);
        if (((bytes[i] ^ other.bytes[i]) >> (8 - bits)) != 0) return false;
    }
    return true;
}

std::optional<IpAddress> parse_ip_address(const std::string& text) {
    IpAddress address;
    address.is_ipv6 = text.find(':') != std::string::npos;
    if (::inet_pton(family_of(address), text.c_str(), address.bytes.data()) != 1) return std::nullopt;
    return address;
}

std::string print(const IpAddress& address) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    return ::inet_ntop(family_of(address), address.bytes.data(), text.data(), text.size());
}

const char* why_unfit_for_interface(const IpAddress& address) {
    const std::array<u8, 16>& bytes = address.bytes;
    if (std::ranges::all_of(bytes, is_zero)) return "is nobody's address";
    if (!address.is_ipv6) {
        if (bytes[0] == 0) return "is in 0.0.0.0/8, which is nobody's";
        if (bytes[0] == 127) return "is a loopback's address";
        if (bytes[0] >= 240) return "is above 239.255.255.255, where no interface is";
        return bytes[0] >= 224 ? "is a group's address" : nullptr;
    }
    if (bytes[0] == 0xff) return "is a group's address";
    if (!std::all_of(bytes.begin(), bytes.begin() + 10, is_zero)) return nullptr;
    if (bytes[10] == 0xff && bytes[11] == 0xff) return "is an IPv4 address in IPv6's clothes";
    const bool is_loopback = std::all_of(bytes.begin() + 10, bytes.end() - 1, is_zero) && bytes[15] == 1;
    return is_loopback ? "is a loopback's address" : nullptr;
}

}  // namespace mayfly
