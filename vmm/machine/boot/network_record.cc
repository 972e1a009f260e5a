// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/boot/network_record.h"

#include <algorithm>
#include <span>

#include <fmt/format.h>

#include "firmware/init/network_job.h"
#include "vmm/network/passt_arguments.h"

namespace mayfly {

namespace {

/// passt answers at once.
constexpr u32 kPasstSeconds = 3;
/// Other servers first check for three seconds whether the address is in use.
constexpr u32 kOthersSeconds = 10;

std::string hex(std::span<const u8> bytes) {
    std::string text;
    for (const u8 byte : bytes) text += fmt::format("{:02x}", byte);
    return text;
}

std::string hex(const IpAddress& address) {
    return hex(std::span(address.bytes).first(address.size_bytes()));
}

}  // namespace

bool asks_dhcp(const NetConfig& net) {
    if (net.kind == NetConfig::Kind::Tap || net.guest.wants_dhcp) return net.guest.wants_dhcp;
    return std::ranges::all_of(net.guest.addresses,
                               [](const InterfaceAddress& one) { return one.address.is_ipv6; });
}

std::string network_record(const NetConfig& net, const MacAddress& mac) {
    std::string record = hex(mac);
    for (const InterfaceAddress& one : net.guest.addresses)
        record += fmt::format(" {}{}/{}={}", network_job::kAddress, hex(one.address), one.prefix_bits,
                              print(one.address));
    for (const IpAddress& gateway : net.guest.gateways)
        record += fmt::format(" {}{}", network_job::kGateway, hex(gateway));
    for (const IpAddress& server : net.guest.name_servers)
        record += fmt::format(" {}{}", network_job::kNameServer, print(server));
    const bool is_near = net.kind != NetConfig::Kind::Tap;
    if (is_near) record += fmt::format(" {}", network_job::kNear);
    if (asks_dhcp(net))
        record += fmt::format(" {}{}", network_job::kDhcp, is_near ? kPasstSeconds : kOthersSeconds);
    if (net.kind == NetConfig::Kind::User && !net.has_host_loopback)
        record += fmt::format(" {}{}", network_job::kSpareNameServer, kDnsAddress);
    return record;
}

std::vector<std::string_view> network_modules(const std::vector<NetConfig>& nets) {
    if (std::ranges::any_of(nets, asks_dhcp)) return {"af_packet"};
    return {};
}

}  // namespace mayfly
