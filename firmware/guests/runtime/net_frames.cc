// SPDX-License-Identifier: Apache-2.0
// Headers of RFC 791, RFC 768 and RFC 9293, and virtio's own.
#include "firmware/guests/runtime/net_frames.h"

#include "firmware/guests/runtime/boot_info.h"
#include "firmware/guests/runtime/io_memory.h"
#include "firmware/guests/runtime/virtio_net.h"

namespace guest {
namespace {

using io_memory::at;

constexpr u32 kIpBytes = 20;
constexpr u32 kFrameMax = 1514;
constexpr u8 kUdp = 17;
constexpr u8 kTcp = 6;
constexpr u8 kGsoUdp = 3;
constexpr u16 kTcpSegment = 1448;
constexpr u16 kUdpFragment = 1472;

void put16(u64 to, u32 value) { at<u16>(to) = __builtin_bswap16(static_cast<u16>(value)); }
void put32(u64 to, u32 value) { at<u32>(to) = __builtin_bswap32(value); }

/// Ones' complement sum of 16-bit words, not complemented.
u32 sum(u64 from, u32 count_bytes) {
    u32 total = 0;
    for (u32 n = 0; n < count_bytes; n += 2) total += __builtin_bswap16(at<u16>(from + n));
    while (total >> 16 != 0) total = (total & 0xffff) + (total >> 16);
    return total;
}

/// "10.77.0.2", or a number.
u32 address_option(Text name, u32 otherwise) {
    Text text = "";
    if (!find_option_text(name, 0, text)) return otherwise;
    u32 address = 0;
    for (u32 n = 0; n < 4; ++n) {
        u64 used = 0;
        address = address << 8 | static_cast<u32>(parse_number(text, used) & 0xff);
        const u64 skip = used < text.size_bytes ? used + 1 : used;
        text = {text.data + skip, text.size_bytes - skip};
    }
    return address;
}

}  // namespace

void write_frame(u64 frame, const FramePlan& plan, u32 frame_bytes, bool is_partial) {
    for (u32 n = 0; n < 6; ++n) {
        at<u8>(frame + n) = plan.to[n];
        at<u8>(frame + 6 + n) = plan.from[n];
    }
    put16(frame + 12, 0x0800);
    const u64 ip = frame + kEthernetBytes;
    const u32 ip_bytes = frame_bytes - kEthernetBytes;
    put16(ip, 0x4500);
    put16(ip + 2, ip_bytes);
    put32(ip + 4, 0);
    put16(ip + 8, 64 << 8 | (plan.is_tcp ? kTcp : kUdp));
    put16(ip + 10, 0);
    put32(ip + 12, plan.from_ip);
    put32(ip + 16, plan.to_ip);
    put16(ip + 10, ~sum(ip, kIpBytes));
    const u64 header = ip + kIpBytes;
    const u32 behind_ip = ip_bytes - kIpBytes;
    put16(header, 9);
    put16(header + 2, plan.to_port);
    if (plan.is_tcp) {
        put32(header + 4, 1);
        put32(header + 8, 1);
        put32(header + 12, 0x5010'ffff);  // five words, ACK, window
        put32(header + 16, 0);
    } else {
        put16(header + 4, behind_ip);
        put16(header + 6, 0);
    }
    if (!is_partial) return;
    u32 pseudo = sum(ip + 12, 8) + (plan.is_tcp ? kTcp : kUdp) + behind_ip;
    while (pseudo >> 16 != 0) pseudo = (pseudo & 0xffff) + (pseudo >> 16);
    put16(header + (plan.is_tcp ? 16 : 6), pseudo);
}

void write_bench_frame(u64 at_header, u32 header_bytes, const u8* mac, u32 frame_bytes) {
    const bool is_large = frame_bytes > kFrameMax;
    FramePlan plan{};
    for (u32 n = 0; n < 6; ++n) {
        plan.to[n] = 0xff;
        plan.from[n] = mac[n];
    }
    plan.from_ip = address_option("ip", 0x0a4d'0002);
    plan.to_ip = address_option("peer", 0x0a4d'0001);
    plan.to_port = static_cast<u16>(option_value("port", 9));
    plan.is_tcp = is_large && !option_is("gso", "udp");
    write_frame(at_header + header_bytes, plan, frame_bytes, is_large);
    volatile virtio::NetHeader& header = at<virtio::NetHeader>(at_header);
    header.flags = is_large ? virtio::kNetNeedsChecksum : u8{0};
    header.gso_type = !is_large ? virtio::kNetGsoNone : plan.is_tcp ? virtio::kNetGsoTcp4 : kGsoUdp;
    header.header_bytes = is_large ? static_cast<u16>(plan.is_tcp ? 54 : 42) : u16{0};
    header.gso_bytes = !is_large ? u16{0} : plan.is_tcp ? kTcpSegment : kUdpFragment;
    header.checksum_start = is_large ? static_cast<u16>(kEthernetBytes + kIpBytes) : u16{0};
    header.checksum_offset = !is_large ? u16{0} : static_cast<u16>(plan.is_tcp ? 16 : 6);
}

}  // namespace guest
