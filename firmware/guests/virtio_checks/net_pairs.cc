// SPDX-License-Identifier: Apache-2.0
// `net=pairs`: all queue pairs of a network device at once. Frames sent on each are echoed; then the other
// end, told by frame 777, sends 64 flows, which must not all come to one queue.
// Spec: virtio 1.2 §5.1.6.5.5 "Device operation in multiqueue mode".
#include "firmware/guests/runtime/virtio_net.h"
#include "firmware/guests/virtio_checks/checks.h"

namespace guest::checks {
namespace {

using virtio::Completion;
using virtio::Virtqueue;

constexpr u64 kControl = u64{1} << 17;
constexpr u64 kManyPairs = u64{1} << 22;
constexpr u16 kPairsMax = 8;
constexpr u16 kBuffers = 64;
constexpr u32 kBufferBytes = 2048;
constexpr u32 kHeaderBytes = 12;
constexpr u32 kFrameBytes = 60;
constexpr u32 kGoSign = 777;
constexpr u32 kFlows = 64;
constexpr u32 kNobody = ~u32{0};

constinit Virtqueue queues[2 * kPairsMax + 1];
constinit u16 pairs = 0;
constinit u64 buffers = 0;
constinit u64 out = 0;

Virtqueue& receive_queue(u16 pair) { return queues[2 * pair]; }
Virtqueue& send_queue(u16 pair) { return queues[2 * pair + 1]; }

void give_room(u16 pair, u16 token) {
    const u64 at = buffers + (u64{pair} * kBuffers + token) * kBufferBytes;
    const virtio::Segment whole{at, kBufferBytes, true};
    receive_queue(pair).add(&whole, 1, token);
}

bool start(const Transport& transport, const Plan& plan) {
    io_memory::release_all();
    u64 features = 0;
    const u64 wanted = virtio::kVersion1 | virtio::kNetMac | kControl | kManyPairs | plan.ring_features;
    if (!virtio::negotiate(transport, wanted, features)) return false;
    pairs = (features & kManyPairs) != 0 ? static_cast<u16>(transport.config8(8)) : u16{1};
    if (pairs > kPairsMax) pairs = 0;
    if ((features & kControl) == 0 || pairs == 0) {
        fail("net: no control queue, or more than 8 pairs");
        return false;
    }
    for (u16 n = 0; n <= 2 * pairs; ++n) {
        if (!queues[n].start(transport, n, n == 2 * pairs ? 16 : 128, features, virtio::kNoVector))
            return false;
    }
    virtio::drive(transport);
    buffers = io_memory::allocate(u64{pairs} * kBuffers * kBufferBytes, 4096);
    out = io_memory::allocate(kBufferBytes, 64);
    return true;
}

/// VIRTIO_NET_CTRL_MQ, VQ_PAIRS_SET. \returns the answer.
u8 use_pairs(u16 count) {
    const u64 at = io_memory::allocate(64, 64);
    io_memory::at<u8>(at) = 4;
    io_memory::at<u8>(at + 1) = 0;
    io_memory::at<u16>(at + 2) = count;
    io_memory::at<u8>(at + 8) = 0xee;
    const virtio::Segment parts[] = {{at, 2, false}, {at + 2, 2, false}, {at + 8, 1, true}};
    Completion completion{};
    Virtqueue& control = queues[2 * pairs];
    if (!control.add(parts, 3, 0)) return 0xee;
    control.kick();
    return take_one(control, completion) ? io_memory::at<u8>(at + 8) : u8{0xee};
}

bool send(u16 pair, u32 number, const Transport& transport) {
    for (u32 n = 0; n < kHeaderBytes + kFrameBytes; ++n) io_memory::at<u8>(out + n) = 0;
    for (u32 n = 0; n < 6; ++n) {
        io_memory::at<u8>(out + kHeaderBytes + n) = 0xff;
        io_memory::at<u8>(out + kHeaderBytes + 6 + n) = transport.config8(n);
    }
    io_memory::at<u16>(out + kHeaderBytes + 12) = 0xb588;
    io_memory::at<u32>(out + kHeaderBytes + 14) = number;
    const virtio::Segment whole{out, kHeaderBytes + kFrameBytes, false};
    Completion completion{};
    if (!send_queue(pair).add(&whole, 1, 0)) return false;
    send_queue(pair).kick();
    return take_one(send_queue(pair), completion);
}

/// The number in the next frame of ours, or kNobody. `from` becomes the pair that received it.
u32 next_number(u16& from, u32 microseconds) {
    const u64 end = read_tsc() + tsc_ticks(microseconds);
    while (read_tsc() < end) {
        for (u16 pair = 0; pair < pairs; ++pair) {
            Completion completion{};
            if (!receive_queue(pair).take(completion)) continue;
            const u64 at = buffers + (u64{pair} * kBuffers + completion.token) * kBufferBytes + kHeaderBytes;
            const bool is_ours = io_memory::at<u16>(at + 12) == 0xb588;
            // Of a flow: UDP to port 9.
            const bool is_flow =
                io_memory::at<u16>(at + 12) == 0x0008 && io_memory::at<u16>(at + 36) == 0x0900;
            const u32 number = is_flow ? kGoSign : io_memory::at<u32>(at + 14);
            give_room(pair, completion.token);
            receive_queue(pair).kick();
            from = pair;
            if (is_ours || is_flow) return number;
        }
    }
    return kNobody;
}

void check_echoes(const Transport& transport) {
    u32 good = 0;
    for (u32 n = 0; n < 16U * pairs; ++n) {
        u16 from = 0;
        // The other end may need a while to come up.
        for (u32 tries = 0; tries < 50; ++tries) {
            if (!send(static_cast<u16>(n % pairs), n, transport)) break;
            if (next_number(from, 100'000) != n) continue;
            ++good;
            break;
        }
    }
    expect_equal("net echoes from all pairs", 16U * pairs, good);
}

void check_flows(const Transport& transport) {
    u32 came = 0;
    u32 of_queue[kPairsMax]{};
    send(0, kGoSign, transport);
    while (came < kFlows + 1) {  // and its own echo
        u16 from = 0;
        if (next_number(from, kArrivalMicroseconds) != kGoSign) break;
        ++of_queue[from];
        ++came;
    }
    u32 busy = 0;
    for (const u32 count : of_queue) busy += count > 1 ? 1 : 0;
    expect_equal("net flows", kFlows + 1, came);
    expect_between("net queues with flows", pairs > 1 ? 2 : 1, pairs, busy);
}

}  // namespace

void check_net_pairs(const Transport& transport, const Plan& plan) {
    if (!start(transport, plan)) return;
    Line{}.add("net pairs ").add_decimal(pairs).print_line();
    expect_equal("net all pairs", 0, use_pairs(pairs));
    expect_equal("net no pair refused", 1, use_pairs(0));
    expect_equal("net one pair more refused", 1, use_pairs(static_cast<u16>(pairs + 1)));
    for (u16 pair = 0; pair < pairs; ++pair) {
        for (u16 n = 0; n < kBuffers; ++n) give_room(pair, n);
        receive_queue(pair).kick();
    }
    check_echoes(transport);
    check_flows(transport);
    expect("net sound at the end", (transport.status() & virtio::kNeedsReset) == 0 && transport.reset());
}

}  // namespace guest::checks
