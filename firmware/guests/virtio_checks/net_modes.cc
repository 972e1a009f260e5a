// SPDX-License-Identifier: Apache-2.0
// Networks in trouble, and a real one, which `net=` asks for instead of an echo.
//
// `net=starve`: takes received frames once and gives no room for more, while it sends `frames=N` frames, one
// by one. `net=link`: waits for the link to go down. `net=arp`: asks who has `peer=`, from `ip=` (numbers,
// 0x0a4d0001). `net=back`: and again each time that the link has gone down and come back, `times=N`.
// Spec: virtio 1.2 §5.1 "Network Device"; RFC 826.
#include "firmware/guests/runtime/boot_info.h"
#include "firmware/guests/runtime/virtio_net.h"
#include "firmware/guests/virtio_checks/checks.h"

namespace guest::checks {
namespace {

using virtio::Completion;
using virtio::Net;

constexpr u16 kBuffers = 64;
constexpr u32 kBufferBytes = 2048;
constexpr u32 kFrameBytes = 60;
constexpr u32 kLinkStatus = 6;
constexpr u32 kPatienceMicroseconds = 20'000'000;
constexpr u32 kArpTries = 50;
constexpr u32 kArpMicroseconds = 200'000;

constinit Net net;
constinit u64 buffers = 0;
constinit u64 out = 0;

void give_room() {
    for (u16 n = 0; n < kBuffers; ++n) net.receive(buffers + u64{n} * kBufferBytes, kBufferBytes, n);
    net.queue(Net::kReceive).kick();
}

/// The last MSI-X entry, as connect_interrupts() set it up.
bool connect_config_interrupt(const Transport& transport, const Plan& plan) {
    if (plan.interrupt != virtio::Interrupt::Msix) return true;
    pci::Msix msix;
    return msix.find(transport.function()) && transport.set_config_vector(static_cast<u16>(msix.size() - 1));
}

bool start(const Transport& transport, const Plan& plan) {
    io_memory::release_all();
    u16 vector = virtio::kNoVector;
    if (!virtio::connect_interrupts(transport, plan.interrupt, vector)) return false;
    const u64 wanted = virtio::kNetMac | virtio::kNetStatus | plan.ring_features;
    if (!net.start(transport, wanted, virtio::Virtqueue::kSizeMax, vector)) return false;
    if (!connect_config_interrupt(transport, plan)) return false;
    buffers = io_memory::allocate(u64{kBuffers} * kBufferBytes, 4096);
    out = io_memory::allocate(kBufferBytes, 64);
    give_room();
    return true;
}

u64 frame() { return out + net.header_bytes(); }

void put16(u64 at, u32 value) { io_memory::at<u16>(at) = __builtin_bswap16(static_cast<u16>(value)); }
void put32(u64 at, u32 value) { io_memory::at<u32>(at) = __builtin_bswap32(value); }

void address_to_all(u32 type) {
    for (u32 n = 0; n < 6; ++n) {
        io_memory::at<u8>(frame() + n) = 0xff;
        io_memory::at<u8>(frame() + 6 + n) = net.mac()[n];
    }
    put16(frame() + 12, type);
}

bool send_frame() {
    Completion completion{};
    if (!net.send(out, kFrameBytes, 0)) return false;
    net.queue(Net::kSend).kick();
    return take_one(net.queue(Net::kSend), completion);
}

bool send_frames(u64 count) {
    address_to_all(0x88b5);
    for (u64 n = 0; n < count; ++n) {
        put32(frame() + 14, static_cast<u32>(n));
        if (!send_frame()) return false;
    }
    return true;
}

bool is_link_up(const Transport& transport) { return (transport.config8(kLinkStatus) & 1) != 0; }

bool is_answer(u64 at, u32 peer) {
    return io_memory::at<u16>(at + 12) == 0x0608 && io_memory::at<u16>(at + 20) == 0x0200 &&
           io_memory::at<u16>(at + 28) == __builtin_bswap16(static_cast<u16>(peer >> 16)) &&
           io_memory::at<u16>(at + 30) == __builtin_bswap16(static_cast<u16>(peer));
}

/// Looks at frames until the answer is among them.
bool await_answer(u32 peer) {
    const u64 end = read_tsc() + tsc_ticks(kArpMicroseconds);
    while (read_tsc() < end) {
        Completion completion{};
        if (!net.queue(Net::kReceive).take(completion)) {
            pause();
            continue;
        }
        const u64 at = buffers + u64{completion.token} * kBufferBytes;
        const bool is_reply = is_answer(at + net.header_bytes(), peer);
        net.receive(at, kBufferBytes, completion.token);
        net.queue(Net::kReceive).kick();
        if (is_reply) return true;
    }
    return false;
}

bool ask_for_peer() {
    const u32 peer = static_cast<u32>(option_value("peer", 0x0a4d'0001));
    address_to_all(0x0806);
    put32(frame() + 14, 0x0001'0800);  // Ethernet, IPv4
    put32(frame() + 18, 0x0604'0001);  // their sizes, request
    for (u32 n = 0; n < 6; ++n) io_memory::at<u8>(frame() + 22 + n) = net.mac()[n];
    put32(frame() + 28, static_cast<u32>(option_value("ip", 0x0a4d'0002)));
    put32(frame() + 38, peer);
    bool is_answered = false;
    for (u32 n = 0; n < kArpTries && !is_answered; ++n) is_answered = send_frame() && await_answer(peer);
    return is_answered;
}

/// Polls: a state that lasts is seen.
bool await_link(const Transport& transport, bool is_up) {
    const u64 end = read_tsc() + u64{tsc_ticks(kPatienceMicroseconds)};
    while (is_link_up(transport) != is_up && read_tsc() < end) spin(100);
    return is_link_up(transport) == is_up;
}

}  // namespace

void check_net_starved(const Transport& transport, const Plan& plan) {
    if (!start(transport, plan)) return;
    virtio::Virtqueue& receive = net.queue(Net::kReceive);
    Completion completion{};
    print("net ready\n");
    u16 came = 0;
    const u64 end = read_tsc() + u64{tsc_ticks(kPatienceMicroseconds)};
    while (came < kBuffers && read_tsc() < end) {
        if (receive.take(completion)) ++came;
    }
    expect("net buffers filled", came == kBuffers);
    print("net starved\n");
    expect("net sends while starved", send_frames(option_value("frames", 2000)));
    expect("net starved to the end", !receive.take(completion));
    give_room();
    expect("net receives again", take_one(receive, completion));
    expect("net sound at the end", (transport.status() & virtio::kNeedsReset) == 0 && transport.reset());
}

void check_net_link(const Transport& transport, const Plan& plan) {
    if (!start(transport, plan)) return;
    expect("net link up", is_link_up(transport));
    print("net ready\n");
    const u64 end = read_tsc() + u64{tsc_ticks(kPatienceMicroseconds)};
    // A frame now and then: sending may reveal a dead peer, too.
    while (is_link_up(transport) && read_tsc() < end) {
        if (option_value("send", 0) != 0) send_frames(1);
        spin(1000);
    }
    expect("net link down", !is_link_up(transport));
    if (plan.interrupt != virtio::Interrupt::None)
        expect("net config interrupt", spin_for(virtio::config_interrupts_seen, 1, kArrivalMicroseconds));
    expect("net sends without link", send_frames(300));
    expect("net reset", transport.reset() && start(transport, plan));
    expect("net link stays down", !is_link_up(transport) && send_frames(1) && transport.reset());
}

void check_net_back(const Transport& transport, const Plan& plan) {
    if (!start(transport, plan)) return;
    expect("net arp answered", ask_for_peer());
    const u64 times = option_value("times", 1);
    for (u64 n = 1; n <= times; ++n) {
        print("net ready\n");
        expect("net link down", await_link(transport, false));
        expect("net link back", await_link(transport, true));
        if (plan.interrupt != virtio::Interrupt::None)
            expect("net config interrupts",
                   spin_for(virtio::config_interrupts_seen, static_cast<u32>(2 * n), kArrivalMicroseconds));
        expect("net arp answered again", ask_for_peer());
    }
    expect("net reset", transport.reset());
}

void check_net_arp(const Transport& transport, const Plan& plan) {
    if (!start(transport, plan)) return;
    expect("net arp answered", ask_for_peer());
    expect("net reset", transport.reset());
}

}  // namespace guest::checks
