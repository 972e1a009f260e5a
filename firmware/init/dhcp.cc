// SPDX-License-Identifier: Apache-2.0
#include "firmware/init/dhcp.h"

namespace mayfly::init {

namespace {

using Bytes = std::span<const u8>;

constexpr u8 kUdp = 17;  // RFC 768
constexpr u16 kServerPort = 67;
constexpr u16 kClientPort = 68;
constexpr std::size_t kIpBytes = 20;
constexpr std::size_t kUdpBytes = 8;

// RFC 2131 §2 "Protocol Summary", offsets in a message:
constexpr std::size_t kOp = 0;
constexpr std::size_t kHardwareType = 1;
constexpr std::size_t kHardwareBytes = 2;
constexpr std::size_t kTransaction = 4;
constexpr std::size_t kYourAddress = 16;
constexpr std::size_t kClientHardware = 28;
constexpr std::size_t kCookie = 236;
constexpr std::size_t kOptions = 240;
constexpr u8 kRequestOp = 1;
constexpr u8 kReplyOp = 2;
constexpr u8 kEthernet = 1;
constexpr u8 kMacBytes = 6;
constexpr u32 kMagicCookie = 0x6382'5363;

// RFC 2132:
enum OptionCode : u8 {
    Pad = 0,
    SubnetMask = 1,
    Router = 3,
    NameServer = 6,
    InterfaceMtu = 26,
    RequestedAddress = 50,
    MessageType = 53,
    ServerIdentifier = 54,
    ParameterRequestList = 55,
    End = 255,
};
constexpr u8 kDiscover = 1;
constexpr u8 kRequest = 3;
/// Smaller MTUs cause more harm than good, and a stranger may have sent the value: RFC 1122 §3.3.2
/// "Reassembly" has every host take that much.
constexpr u16 kMtuMin = 576;

u16 read_u16(Bytes at) { return static_cast<u16>(at[0] << 8 | at[1]); }
u32 read_u32(Bytes at) { return u32{read_u16(at)} << 16 | read_u16(at.subspan(2)); }
Ipv4 read_address(Bytes at) { return {{at[0], at[1], at[2], at[3]}}; }
u32 number_of(Ipv4 address) { return read_u32(address.bytes); }

void write_u16(u8* to, u32 value) {
    to[0] = static_cast<u8>(value >> 8);
    to[1] = static_cast<u8>(value);
}
void write_u32(u8* to, u32 value) {
    write_u16(to, value >> 16);
    write_u16(to + 2, value);
}

/// RFC 1071.
u16 checksum_of(Bytes header) {
    u32 sum = 0;
    for (std::size_t i = 0; i + 1 < header.size(); i += 2) sum += read_u16(header.subspan(i));
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<u16>(~sum);
}

/// An address that a single host can have: not 0.0.0.0/8, 127.0.0.0/8, a group or above.
bool is_host_address(Ipv4 address) {
    return address.bytes[0] != 0 && address.bytes[0] != 127 && address.bytes[0] < 224;
}

/// 0 for a value that is not a mask. Also for a mask that is wider than any network's: its route would take
/// packets for other interfaces.
u8 prefix_of(u32 mask) {
    constexpr u8 kBitsMin = 8;
    u8 bits = 0;
    while (bits < 32 && (mask >> (31 - bits) & 1) != 0) ++bits;
    const u32 rest = bits == 32 ? 0 : mask << bits;
    return rest == 0 && bits >= kBitsMin ? bits : u8{0};
}

/// The payload of a datagram from a server to a client; empty for another packet. Checksums are ignored:
/// virtio leaves them out between machines of one host.
Bytes message_in(Bytes packet) {
    if (packet.size() < kIpBytes || packet[0] >> 4 != 4) return {};
    const std::size_t header = (packet[0] & 15U) * 4U;
    const std::size_t total = read_u16(packet.subspan(2));
    constexpr u32 kMoreFragmentsOrOffset = 0x3fff;
    const bool is_fragment = (read_u16(packet.subspan(6)) & kMoreFragmentsOrOffset) != 0;
    if (header < kIpBytes || total > packet.size() || total < header || total - header < kUdpBytes) return {};
    if (packet[9] != kUdp || is_fragment) return {};
    const Bytes datagram = packet.subspan(header, total - header);
    const std::size_t size = read_u16(datagram.subspan(4));
    if (read_u16(datagram) != kServerPort || read_u16(datagram.subspan(2)) != kClientPort) return {};
    if (size < kUdpBytes || size > datagram.size()) return {};
    return datagram.subspan(kUdpBytes, size - kUdpBytes);
}

bool is_reply_to(Bytes message, const DhcpClient& client) {
    if (message.size() < kOptions || message[kOp] != kReplyOp || message[kHardwareType] != kEthernet ||
        message[kHardwareBytes] != kMacBytes)
        return false;
    if (read_u32(message.subspan(kTransaction)) != client.transaction ||
        read_u32(message.subspan(kCookie)) != kMagicCookie)
        return false;
    for (std::size_t i = 0; i < kMacBytes; ++i)
        if (message[kClientHardware + i] != client.mac[i]) return false;
    return true;
}

/// The content of options, before it is checked.
struct DhcpOptions {
    DhcpAnswer answer{};
    u8 kind = 0;
    bool has_server = false;
};

/// False for a value that breaks the format.
bool read_option(u8 code, Bytes value, DhcpOptions& found) {
    DhcpAnswer& answer = found.answer;
    switch (code) {
        case MessageType:
            if (value.size() != 1) return false;
            found.kind = value[0];
            return true;
        case ServerIdentifier:
            if (value.size() != 4) return false;
            answer.server = read_address(value);
            found.has_server = true;
            return true;
        case SubnetMask:
            if (value.size() != 4) return false;
            answer.prefix_bits = prefix_of(read_u32(value));
            return answer.prefix_bits != 0;
        case Router:
            if (value.empty() || value.size() % 4 != 0) return false;
            answer.router = read_address(value);
            answer.has_router = is_host_address(answer.router);
            return true;
        case NameServer:
            if (value.empty() || value.size() % 4 != 0) return false;
            answer.name_servers = 0;
            for (; !value.empty() && answer.name_servers < kDhcpNameServersMax; value = value.subspan(4))
                if (is_host_address(read_address(value)))
                    answer.name_server[answer.name_servers++] = read_address(value);
            return true;
        case InterfaceMtu:
            if (value.size() != 2) return false;
            if (read_u16(value) >= kMtuMin) answer.mtu = read_u16(value);
            return true;
        default: return true;
    }
}

bool read_options(Bytes options, DhcpOptions& found) {
    while (!options.empty() && options[0] != End) {
        if (options[0] == Pad) {
            options = options.subspan(1);
            continue;
        }
        if (options.size() < 2 || options[1] > options.size() - 2) return false;
        const std::size_t size = options[1];
        if (!read_option(options[0], options.subspan(2, size), found)) return false;
        options = options.subspan(2 + size);
    }
    return true;
}

}  // namespace

std::size_t write_text(Ipv4 address, std::span<char, kIpv4TextBytes> text) {
    std::size_t used = 0;
    for (const u8 byte : address.bytes) {
        if (used != 0) text[used++] = '.';
        if (byte >= 100) text[used++] = static_cast<char>('0' + byte / 100);
        if (byte >= 10) text[used++] = static_cast<char>('0' + byte / 10 % 10);
        text[used++] = static_cast<char>('0' + byte % 10);
    }
    text[used] = 0;
    return used;
}

void write_dhcp_packet(std::span<u8, kDhcpPacketBytes> packet, const DhcpClient& client,
                       const DhcpAnswer* offer) {
    for (u8& byte : packet) byte = 0;
    // RFC 791 §3.1 "Internet Header Format"; from 0.0.0.0 to the broadcast address.
    u8* const ip = packet.data();
    constexpr u8 kVersionAndWords = 0x45;
    constexpr u8 kTimeToLive = 64;
    ip[0] = kVersionAndWords;
    write_u16(ip + 2, kDhcpPacketBytes);
    ip[8] = kTimeToLive;
    ip[9] = kUdp;
    write_u32(ip + 16, 0xffff'ffff);
    write_u16(ip + 10, checksum_of(packet.first(kIpBytes)));
    // RFC 768; its checksum is 0, which means that it is omitted.
    u8* const udp = ip + kIpBytes;
    write_u16(udp, kClientPort);
    write_u16(udp + 2, kServerPort);
    write_u16(udp + 4, kDhcpPacketBytes - kIpBytes);
    u8* const message = udp + kUdpBytes;
    message[kOp] = kRequestOp;
    message[kHardwareType] = kEthernet;
    message[kHardwareBytes] = kMacBytes;
    write_u32(message + kTransaction, client.transaction);
    for (std::size_t i = 0; i < kMacBytes; ++i) message[kClientHardware + i] = client.mac[i];
    write_u32(message + kCookie, kMagicCookie);
    u8* option = message + kOptions;
    const auto put = [&](u8 byte) { *option++ = byte; };
    for (const u8 byte : {u8{MessageType}, u8{1}, offer == nullptr ? kDiscover : kRequest}) put(byte);
    for (const u8 byte :
         {u8{ParameterRequestList}, u8{4}, u8{SubnetMask}, u8{Router}, u8{NameServer}, u8{InterfaceMtu}})
        put(byte);
    if (offer != nullptr) {
        put(RequestedAddress);
        put(4);
        for (const u8 byte : offer->address.bytes) put(byte);
        put(ServerIdentifier);
        put(4);
        for (const u8 byte : offer->server.bytes) put(byte);
    }
    put(End);
}

std::optional<DhcpAnswer> read_dhcp_packet(std::span<const u8> packet, const DhcpClient& client) {
    const Bytes message = message_in(packet);
    if (!is_reply_to(message, client)) return std::nullopt;
    DhcpOptions found;
    found.answer.prefix_bits = 32;
    if (!read_options(message.subspan(kOptions), found)) return std::nullopt;
    // RFC 2131 §4.3.1 "DHCPDISCOVER message", table 3: the server's identifier is in every answer.
    if (!found.has_server) return std::nullopt;
    DhcpAnswer& answer = found.answer;
    answer.kind = static_cast<DhcpKind>(found.kind);
    switch (answer.kind) {
        case DhcpKind::Nak: return answer;
        case DhcpKind::Offer:
        case DhcpKind::Ack: break;
        default: return std::nullopt;
    }
    answer.address = read_address(message.subspan(kYourAddress));
    if (!is_host_address(answer.address)) return std::nullopt;
    if (number_of(answer.router) == number_of(answer.address)) answer.has_router = false;
    return answer;
}

bool belongs_to(const DhcpAnswer& answer, const DhcpAnswer& offer) {
    if (number_of(answer.server) != number_of(offer.server)) return false;
    return answer.kind == DhcpKind::Nak || number_of(answer.address) == number_of(offer.address);
}

}  // namespace mayfly::init
