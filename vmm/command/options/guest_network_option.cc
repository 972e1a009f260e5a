// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/options/guest_network_option.h"

#include <algorithm>

#include <fmt/format.h>

#include "vmm/text/size.h"

namespace mayfly {

namespace {

constexpr std::size_t kAddressesMax = 16;
constexpr std::size_t kNameServersMax = 3;  // resolv.conf(5): MAXNS
constexpr unsigned kWholeNetworkBits = 2;   // fewer bits behind the prefix, and every address is a host's
constexpr const char* kAddressHint = "ip=192.0.2.2/24 or ip=2001:db8::2/64, with the length of the prefix";
constexpr const char* kPlainHint = "192.0.2.1 or 2001:db8::1";

const char* name_of_family(bool is_ipv6) { return is_ipv6 ? "IPv6" : "IPv4"; }

Error refusal(std::string_view key, std::string_view value, std::string_view why) {
    return Error::invalid(fmt::format("--net {}={}: {}", key, value, why));
}

Result<IpAddress> read_address(std::string_view key, const std::string& value, const std::string& text,
                               const char* hint) {
    const std::optional<IpAddress> address = parse_ip_address(text);
    if (!address)
        return fail(
            refusal(key, value, fmt::format("'{}' is neither an IPv4 nor an IPv6 address", text)).hint(hint));
    if (const char* const why = why_unfit_for_interface(*address))
        return fail(refusal(key, value, fmt::format("{} {}", text, why)));
    return *address;
}

/// The bits behind the prefix are all the same: the network itself, or everybody in it.
bool has_host_bits(const InterfaceAddress& given, u8 same) {
    IpAddress other = given.address;
    for (unsigned bit = given.prefix_bits; bit < given.address.bits_max(); ++bit) {
        const u8 mask = static_cast<u8>(0x80U >> bit % 8);
        u8& byte = other.bytes[bit / 8];
        byte = static_cast<u8>(same != 0 ? byte | mask : byte & ~mask);
    }
    return other == given.address;
}

Result<InterfaceAddress> read_interface_address(const std::string& value) {
    const std::size_t slash = value.find('/');
    InterfaceAddress given;
    given.address = TRY(read_address("ip", value, value.substr(0, slash), kAddressHint));
    if (slash == std::string::npos)
        return fail(refusal("ip", value, "the length of the prefix is missing").hint(kAddressHint));
    const std::string digits = value.substr(slash + 1);
    const u8 bits_max = given.address.bits_max();
    const Result<u64> bits = parse_number(digits, bits_max);
    if (!bits || *bits == 0)
        return fail(refusal("ip", value,
                            fmt::format("the prefix of an {} address has 1 to {} bits, not '{}'",
                                        name_of_family(given.address.is_ipv6), bits_max, digits))
                        .hint(kAddressHint));
    given.prefix_bits = static_cast<u8>(*bits);
    if (!given.address.is_ipv6 && given.prefix_bits + kWholeNetworkBits <= bits_max) {
        if (has_host_bits(given, 0))
            return fail(refusal("ip", value, "is the network itself, not an address in it")
                            .hint("the address behind it is the first"));
        if (has_host_bits(given, 1))
            return fail(refusal("ip", value, "is everybody in the network, not one address in it"));
    }
    return given;
}

Result<void> read_ip(const std::string& value, GuestNetwork& network) {
    if (value == "dhcp") {
        network.wants_dhcp = true;
        return {};
    }
    const InterfaceAddress given = TRY(read_interface_address(value));
    for (const InterfaceAddress& before : network.addresses)
        if (before.address == given.address) return fail(refusal("ip", value, "is given twice"));
    if (network.addresses.size() == kAddressesMax)
        return fail(
            refusal("ip", value, fmt::format("one interface has {} addresses at most", kAddressesMax)));
    network.addresses.push_back(given);
    return {};
}

/// The first of that family; null when it is missing.
const IpAddress* of_family(const std::vector<IpAddress>& addresses, bool is_ipv6) {
    const auto found = std::ranges::find(addresses, is_ipv6, &IpAddress::is_ipv6);
    return found == addresses.end() ? nullptr : &*found;
}

/// Why `gateway` cannot be reached through the addresses; empty where it can.
std::string why_unreachable(const IpAddress& gateway, const GuestNetwork& network) {
    const char* const family = name_of_family(gateway.is_ipv6);
    std::string own;
    for (const InterfaceAddress& one : network.addresses) {
        if (one.address.is_ipv6 != gateway.is_ipv6) continue;
        if (one.address == gateway) return "is the guest's own address";
        // A network of one address has its gateway outside, on the link.
        if (gateway.is_link_local() || one.prefix_bits == gateway.bits_max()) return "";
        if (one.address.shares_prefix(gateway, one.prefix_bits)) return "";
        own += fmt::format("{}{}/{}", own.empty() ? "" : ", ", print(one.address), one.prefix_bits);
    }
    if (!own.empty()) return fmt::format("is not in the network of {}", own);
    if (network.wants_dhcp && !gateway.is_ipv6) return "DHCP brings its own gateway";
    return fmt::format("needs an ip= of {}, which is not given", family);
}

}  // namespace

bool is_guest_network_key(std::string_view key) { return key == "ip" || key == "gw" || key == "dns"; }

Result<void> read_guest_network_key(std::string_view key, const std::string& value, GuestNetwork& network) {
    if (key == "ip") return read_ip(value, network);
    const IpAddress address = TRY(read_address(key, value, value, kPlainHint));
    if (key == "gw") {
        if (of_family(network.gateways, address.is_ipv6) != nullptr)
            return fail(
                refusal(key, value,
                        fmt::format("a second {} gateway; there is one", name_of_family(address.is_ipv6))));
        network.gateways.push_back(address);
        return {};
    }
    if (address.is_link_local())
        return fail(refusal(key, value, "an address of one link does not say of which"));
    if (std::ranges::find(network.name_servers, address) != network.name_servers.end())
        return fail(refusal(key, value, "is given twice"));
    network.name_servers.push_back(address);
    return {};
}

Result<void> check_guest_network(const GuestNetwork& network) {
    for (const IpAddress& gateway : network.gateways) {
        const std::string why = why_unreachable(gateway, network);
        if (!why.empty())
            return fail(
                refusal("gw", print(gateway), why).hint("ip=192.0.2.2/24,gw=192.0.2.1, or leave gw= out"));
    }
    if (!network.wants_dhcp) return {};
    for (const InterfaceAddress& one : network.addresses)
        if (!one.address.is_ipv6)
            return fail(refusal("ip", print(one.address), "is given, and ip=dhcp asks for another"));
    return {};
}

Result<void> check_guest_networks(const std::vector<NetConfig>& nets, bool has_exec) {
    std::vector<IpAddress> addresses;
    std::vector<IpAddress> gateways;
    std::vector<IpAddress> name_servers;
    for (std::size_t i = 0; i < nets.size(); ++i) {
        const GuestNetwork& network = nets[i].guest;
        if (!network.is_empty() && !has_exec)
            return fail(Error::invalid("--net ip=, gw= and dns= belong to --exec, which is not given: the "
                                       "guest's own init configures its network")
                            .hint("leave them out, or run a program with --exec PROG"));
        for (std::size_t before = 0; has_exec && before < i; ++before)
            if (nets[i].mac && nets[i].mac == nets[before].mac)
                return fail(
                    Error::invalid("two --net have the same mac=: --exec's init cannot tell them apart")
                        .hint("leave one out: mayfly chooses it"));
        for (const InterfaceAddress& one : network.addresses) {
            const bool is_known = std::ranges::find(addresses, one.address) != addresses.end();
            if (is_known && !one.address.is_link_local())
                return fail(refusal("ip", print(one.address), "is given to two networks"));
            addresses.push_back(one.address);
        }
        for (const IpAddress& gateway : network.gateways) {
            if (of_family(gateways, gateway.is_ipv6) != nullptr)
                return fail(refusal("gw", print(gateway),
                                    fmt::format("another --net has the {} default route",
                                                name_of_family(gateway.is_ipv6)))
                                .hint("one gw= of a family"));
            gateways.push_back(gateway);
        }
        name_servers.insert(name_servers.end(), network.name_servers.begin(), network.name_servers.end());
    }
    if (name_servers.size() > kNameServersMax)
        return fail(Error::invalid(
            fmt::format("{} times --net dns=; resolv.conf takes {}", name_servers.size(), kNameServersMax)));
    return {};
}

}  // namespace mayfly
