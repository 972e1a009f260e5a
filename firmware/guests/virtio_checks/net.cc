// SPDX-License-Identifier: Apache-2.0
// A network whose other end echoes: frames of ethertype 0x88b5 (and IPv4 from 10.77.0.2) come back with
// source and destination address exchanged, everything else as it was, the offload header included.
//
// `net=`: other checks instead, see net_modes.cc and net_pairs.cc.
// `mrg=0`: no merged receive buffers; `offload=0`: no checksum and segmentation offloads; `frames=N`.
// Spec: virtio 1.2 §5.1 "Network Device".
#include "firmware/guests/runtime/boot_info.h"
#include "firmware/guests/runtime/net_frames.h"
#include "firmware/guests/runtime/virtio_net.h"
#include "firmware/guests/virtio_checks/checks.h"

namespace guest::checks {
namespace {

using virtio::Net;

constexpr u16 kBuffersMax = 64;
constexpr u32 kSmallBytes = 2048;
constexpr u32 kLargeBytes = 65536 + 128;
constexpr u32 kFrameMax = 1514;
constexpr u32 kLargeFrame = 32 << 10;
constexpr u32 kProbeMicroseconds = 100'000;
constexpr u32 kProbes = 100;
constexpr u32 kPayload = 18;  // addresses, type, number

constinit Net net;
constinit u64 receive_buffers = 0;
constinit u32 buffer_bytes = 0;
constinit u16 buffer_count = 0;
constinit u64 sent = 0;
constinit u64 received = 0;
constinit bool is_merged = false;

bool start(const Transport& transport, const Plan& plan) {
    u64 wanted = virtio::kNetMac | virtio::kNetStatus | virtio::kNetMtu;
    if (option_value("mrg", 1) != 0) wanted |= virtio::kNetMergedBuffers;
    if (option_value("offload", 1) != 0)
        wanted |=
            virtio::kNetChecksum | virtio::kNetGuestChecksum | virtio::kNetHostTso4 | virtio::kNetGuestTso4;
    io_memory::release_all();
    u16 vector = virtio::kNoVector;
    if (!virtio::connect_interrupts(transport, plan.interrupt, vector)) return false;
    if (!net.start(transport, wanted | plan.ring_features, virtio::Virtqueue::kSizeMax, vector)) return false;
    is_merged = (net.features() & virtio::kNetMergedBuffers) != 0;
    // virtio 1.2 §5.1.6.3.1 "Driver Requirements: Setting Up Receive Buffers"
    const bool is_large = !is_merged && (net.features() & virtio::kNetGuestTso4) != 0;
    buffer_bytes = is_large ? kLargeBytes : kSmallBytes;
    buffer_count = is_large ? 16 : kBuffersMax;
    receive_buffers = io_memory::allocate(u64{buffer_count} * buffer_bytes, 4096);
    sent = io_memory::allocate(u64{kBuffersMax} * kSmallBytes + kLargeBytes, 4096);
    received = io_memory::allocate(kLargeBytes, 4096);
    for (u16 n = 0; n < buffer_count; ++n)
        net.receive(receive_buffers + u64{n} * buffer_bytes, buffer_bytes, n);
    net.queue(Net::kReceive).kick();
    return true;
}

void copy(u64 to, u64 from, u64 size_bytes) {
    // SAFETY: both lie in io_memory, as every caller allocated them.
    __builtin_memcpy(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), size_bytes);
}

/// The next frame, put together in `received` without its header; 0 when none came in time.
u32 receive_frame(u32 microseconds_max) {
    virtio::Virtqueue& queue = net.queue(Net::kReceive);
    const u64 end = read_tsc() + tsc_ticks(microseconds_max);
    u32 frame_bytes = 0;
    for (u32 buffers = 1, n = 0; n < buffers; ++n) {
        virtio::Completion completion{};
        while (!queue.take(completion)) {
            if (read_tsc() > end) return 0;
            pause();
        }
        const u64 at = receive_buffers + u64{completion.token} * buffer_bytes;
        const u32 header = n == 0 ? net.header_bytes() : 0;
        if (n == 0 && is_merged) buffers = io_memory::at<virtio::NetHeader>(at).buffer_count;
        const u32 bytes = completion.written_bytes - header;
        if (completion.written_bytes >= header && frame_bytes + bytes <= kLargeBytes) {
            copy(received + frame_bytes, at + header, bytes);
            frame_bytes += bytes;
        }
        net.receive(at, buffer_bytes, completion.token);
    }
    queue.kick();
    return frame_bytes;
}

/// Writes a frame of ours at slot `n` and makes it available.
void send_frame(u16 n, u32 number, u32 frame_bytes) {
    const u64 header = sent + u64{n} * kSmallBytes;
    const u64 frame = header + net.header_bytes();
    for (u32 byte = 0; byte < net.header_bytes(); ++byte) io_memory::at<u8>(header + byte) = 0;
    for (u32 byte = 0; byte < 6; ++byte) {
        io_memory::at<u8>(frame + byte) = 0xff;
        io_memory::at<u8>(frame + 6 + byte) = net.mac()[byte];
    }
    io_memory::at<u16>(frame + 12) = 0xb588;
    io_memory::at<u32>(frame + 14) = number;
    for (u32 byte = kPayload; byte < frame_bytes; ++byte)
        io_memory::at<u8>(frame + byte) = static_cast<u8>(number * 7 + byte);
    net.send(header, frame_bytes, n);
}

/// Whether `received` is the echo of the frame at `frame`.
bool is_echo(u64 frame, u32 frame_bytes) {
    for (u32 n = 0; n < 6; ++n) {
        if (io_memory::at<u8>(received + n) != io_memory::at<u8>(frame + 6 + n)) return false;
        if (io_memory::at<u8>(received + 6 + n) != io_memory::at<u8>(frame + n)) return false;
    }
    for (u32 n = 12; n < frame_bytes; ++n) {
        if (io_memory::at<u8>(received + n) != io_memory::at<u8>(frame + n)) return false;
    }
    return true;
}

/// Other frames on the network are skipped.
bool await_echo(u64 frame, u32 frame_bytes, u32 microseconds_max) {
    for (u32 others = 0; others < kBuffersMax; ++others) {
        const u32 bytes = receive_frame(microseconds_max);
        if (bytes == 0) return false;
        if (bytes == frame_bytes && is_echo(frame, frame_bytes)) return true;
    }
    return false;
}

bool take_sent(u32 count) {
    for (u32 n = 0; n < count; ++n) {
        virtio::Completion completion{};
        if (!take_one(net.queue(Net::kSend), completion)) return false;
    }
    return true;
}

bool exchange(u32 number, u32 frame_bytes, u32 microseconds_max) {
    send_frame(0, number, frame_bytes);
    net.queue(Net::kSend).kick();
    return take_sent(1) && await_echo(sent + net.header_bytes(), frame_bytes, microseconds_max);
}

/// The same, with an interrupt of one queue before anything is taken from it.
bool interrupts_exchange(u32 number, u16 queue) {
    constexpr u32 kBytes = 100;
    const u32 before = virtio::interrupts_seen;
    net.queue(queue).want_interrupts(true);
    send_frame(0, number, kBytes);
    net.queue(Net::kSend).kick();
    const bool came = spin_for(virtio::interrupts_seen, before + 1, kArrivalMicroseconds);
    net.queue(queue).want_interrupts(false);
    return take_sent(1) && await_echo(sent + net.header_bytes(), kBytes, kArrivalMicroseconds) && came;
}

/// The other end may need a while to come up.
bool find_echo() {
    for (u32 n = 0; n < kProbes; ++n) {
        if (exchange(1'000'000 + n, 60, kProbeMicroseconds)) return true;
    }
    return false;
}

void check_bursts(u32 frames) {
    constexpr u16 kBurst = 16;
    bool good = true;
    for (u32 number = 0; number < frames && good; number += kBurst) {
        for (u16 n = 0; n < kBurst; ++n) send_frame(n, number + n, 60 + (number + n) * 37 % (kFrameMax - 59));
        net.queue(Net::kSend).kick();
        good = take_sent(kBurst);
        for (u16 n = 0; n < kBurst && good; ++n)
            good = await_echo(sent + u64{n} * kSmallBytes + net.header_bytes(),
                              60 + (number + n) * 37 % (kFrameMax - 59), kArrivalMicroseconds);
    }
    expect("net bursts", good);
}

/// One frame of 32 KiB, to be segmented; it comes back as one, in several buffers.
void check_large() {
    FramePlan plan{};
    for (u32 n = 0; n < 6; ++n) {
        plan.to[n] = 0xff;
        plan.from[n] = net.mac()[n];
    }
    plan.from_ip = 0x0a4d'0002;
    plan.to_ip = 0x0a4d'00fe;
    plan.to_port = 9;
    plan.is_tcp = true;
    const u64 header = sent + u64{kBuffersMax} * kSmallBytes;
    const u64 frame = header + net.header_bytes();
    for (u32 n = 0; n < kLargeFrame; ++n) io_memory::at<u8>(frame + n) = static_cast<u8>(n * 13 >> 3);
    write_frame(frame, plan, kLargeFrame, true);
    volatile virtio::NetHeader& out = io_memory::at<virtio::NetHeader>(header);
    out.flags = virtio::kNetNeedsChecksum;
    out.gso_type = virtio::kNetGsoTcp4;
    out.header_bytes = 54;
    out.gso_bytes = 1448;
    out.checksum_start = 34;
    out.checksum_offset = 16;
    net.send(header, kLargeFrame, 0);
    net.queue(Net::kSend).kick();
    expect("net 32 KiB, segmentation offloaded",
           take_sent(1) && await_echo(frame, kLargeFrame, kArrivalMicroseconds));
}

void check_reset(const Transport& transport, const Plan& plan) {
    for (u16 n = 0; n < 32; ++n) send_frame(n, 5000U + n, kFrameMax);
    net.queue(Net::kSend).kick();
    bool good = transport.reset();
    const u64 before = digest(io_memory::kFirst, io_memory::next - io_memory::kFirst);
    spin(kQuietMicroseconds);
    good = good && digest(io_memory::kFirst, io_memory::next - io_memory::kFirst) == before;
    good = good && start(transport, plan) && find_echo();
    expect("net reset with frames in flight", good);
}

}  // namespace

void check_net(const Transport& transport, const Plan& plan) {
    if (option_is("net", "starve")) return check_net_starved(transport, plan);
    if (option_is("net", "link")) return check_net_link(transport, plan);
    if (option_is("net", "arp")) return check_net_arp(transport, plan);
    if (option_is("net", "back")) return check_net_back(transport, plan);
    if (option_is("net", "pairs")) return check_net_pairs(transport, plan);
    if (!start(transport, plan)) return;
    Line line;
    line.add("net mac");
    for (u32 n = 0; n < 6; ++n) line.add(n == 0 ? Text(" ") : Text(":")).add_hex(net.mac()[n]);
    line.add(" features ").add_hex(net.features()).print_line();
    line = {};
    line.add("net link ").add_decimal(transport.config8(6) & 1U);
    if ((net.features() & virtio::kNetMtu) != 0)
        line.add(" mtu ").add_decimal(transport.config8(10) | u32{transport.config8(11)} << 8);
    line.print_line();
    if (!find_echo()) return fail("net: no echo");
    pass("net echo");
    expect("net 60 bytes", exchange(1, 60, kArrivalMicroseconds));
    expect("net 1514 bytes", exchange(2, kFrameMax, kArrivalMicroseconds));
    check_bursts(static_cast<u32>(option_value("frames", 256)));
    const u64 both = virtio::kNetHostTso4 | virtio::kNetGuestTso4;
    if ((net.features() & both) == both) check_large();
    if (plan.interrupt != virtio::Interrupt::None) {
        expect("net receive interrupt", interrupts_exchange(3, Net::kReceive));
        expect("net send interrupt", interrupts_exchange(4, Net::kSend));
    }
    check_reset(transport, plan);
    expect("net sound at the end", (transport.status() & virtio::kNeedsReset) == 0 && transport.reset());
}

}  // namespace guest::checks
