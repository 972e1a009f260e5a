// SPDX-License-Identifier: Apache-2.0
// Ethernet frames that guests make up: IPv4 with UDP or TCP headers, enough for a host to accept them.
#pragma once

#include "firmware/guests/runtime/report.h"

namespace guest {

constexpr u32 kBenchFrameMin = 60;
constexpr u32 kEthernetBytes = 14;

/// The content of an IPv4 frame.
struct FramePlan {
    u8 to[6];
    u8 from[6];
    u32 from_ip;
    u32 to_ip;
    u16 to_port;
    bool is_tcp;
};

/// Writes Ethernet, IPv4 and UDP or TCP headers for a frame of `frame_bytes` at `frame`. The transport
/// checksum covers the pseudo header only where `is_partial` (a device finishes it), else it is 0.
void write_frame(u64 frame, const FramePlan& plan, u32 frame_bytes, bool is_partial);

/// A frame for iobench behind a virtio-net header at `at`: to the broadcast address, from 10.77.0.2 to
/// 10.77.0.1 port 9 (`ip=`, `peer=`, `port=`), UDP, and TCP (or `gso=udp`) to be segmented when it does not
/// fit 1514 bytes.
void write_bench_frame(u64 at, u32 header_bytes, const u8* mac, u32 frame_bytes);

}  // namespace guest
