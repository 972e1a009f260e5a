// SPDX-License-Identifier: Apache-2.0
// DHCP messages: the requests of a client for an IPv4 address, and the reading of answers.
//
// Bytes in, values out: no socket, no clock. Any host on the link can answer, so every field of an answer is
// checked, and one that breaks a rule counts as no answer. Not read: options in the fields of names ("option
// overload") and ones that are split. Packets begin with the IP header. Thread: any.
// Spec: RFC 2131 §2 "Protocol Summary"; RFC 2132.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "vmm/error/ints.h"

namespace mayfly::init {

/// As on the wire, the most significant byte first.
struct Ipv4 {
    u8 bytes[4];
};

/// "255.255.255.255" and a NUL.
inline constexpr std::size_t kIpv4TextBytes = 16;
/// \returns the characters without the NUL that follows them.
std::size_t write_text(Ipv4 address, std::span<char, kIpv4TextBytes> text);

/// The client.
struct DhcpClient {
    u8 mac[6];
    u32 transaction;  ///< the same in every message of one exchange; hard to guess
};

enum class DhcpKind : u8 { Offer = 2, Ack = 5, Nak = 6 };

inline constexpr u32 kDhcpNameServersMax = 3;  // the limit of resolv.conf(5)

struct DhcpAnswer {
    DhcpKind kind;
    Ipv4 server;
    // Of Offer and Ack:
    Ipv4 address;
    u8 prefix_bits;  ///< 8 to 32; 32 also where the answer lacks one
    bool has_router;
    Ipv4 router;
    u8 name_servers;
    Ipv4 name_server[kDhcpNameServersMax];
    u16 mtu;  ///< bytes; 0: missing
};

/// IP, UDP, and the smallest message that every server accepts: RFC 1542 §2.1 "General BOOTP Processing".
inline constexpr std::size_t kDhcpPacketBytes = 20 + 8 + 300;

/// A DHCPREQUEST for `offer`, or a DHCPDISCOVER without one.
void write_dhcp_packet(std::span<u8, kDhcpPacketBytes> packet, const DhcpClient& client,
                       const DhcpAnswer* offer);

/// Empty for a packet that is not an answer to `client`.
[[nodiscard]] std::optional<DhcpAnswer> read_dhcp_packet(std::span<const u8> packet,
                                                         const DhcpClient& client);

/// Whether `answer` comes from the server of `offer`, and is about the same address.
[[nodiscard]] bool belongs_to(const DhcpAnswer& answer, const DhcpAnswer& offer);

}  // namespace mayfly::init
