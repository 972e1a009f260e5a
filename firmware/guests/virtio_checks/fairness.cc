// SPDX-License-Identifier: Apache-2.0
// `device=fair`: a flood on one device, and single requests to another, which must not starve.
// `flood=net` (a transmit ring that is kept full, and a disk that is asked for its name) or `flood=blk` (a
// disk with 64 requests, and frames one by one). `rounds=N`, `size=BYTES` of the frames.
//
// Progress is counted, not timed: how much of the flood is done while one request waits.
#include "firmware/guests/runtime/boot_info.h"
#include "firmware/guests/runtime/virtio_block.h"
#include "firmware/guests/runtime/virtio_net.h"
#include "firmware/guests/virtio_checks/checks.h"

namespace guest::checks {
namespace {

using virtio::Block;
using virtio::BlockRequest;
using virtio::Completion;
using virtio::Net;

constexpr u32 kReadBytes = 4096;
constexpr u32 kIdBytes = 20;
constexpr u64 kStarved = 1'000'000;
constexpr u32 kSilenceMicroseconds = 5'000'000;

constinit Block block;
constinit Net net;
constinit u64 frame = 0;
constinit u32 frame_bytes = 0;
constinit u64 data = 0;
constinit u64 places = 0;

void send(u16 token) { net.send(frame, frame_bytes, token); }

void read(u16 slot, u64 number) {
    const u64 sector = number % places * (kReadBytes / virtio::kSectorBytes);
    block.submit(0, slot, BlockRequest::Read, sector, data + u64{slot} * kReadBytes, kReadBytes);
}

/// Keeps the flood going. \returns how much of it was done.
u64 go_on_sending() {
    Completion completion{};
    u64 count = 0;
    for (; count < virtio::Virtqueue::kSizeMax && net.queue(Net::kSend).take(completion); ++count)
        send(completion.token);
    if (count != 0) net.queue(Net::kSend).kick();
    return count;
}

u64 go_on_reading() {
    Completion completion{};
    u64 count = 0;
    for (; count < Block::kSlots && block.queue(0).take(completion); ++count) read(completion.token, count);
    if (count != 0) block.queue(0).kick();
    return count;
}

/// How much of the flood was done until `queue` had a completion; kStarved when it never had.
u64 await(virtio::Virtqueue& queue, u64 (*go_on)()) {
    const u64 silence = tsc_ticks(kSilenceMicroseconds);
    Completion completion{};
    u64 done = 0;
    for (u64 last = read_tsc(); !queue.take(completion);) {
        const u64 count = go_on();
        done += count;
        if (count != 0) last = read_tsc();
        if (done >= kStarved || read_tsc() - last > silence) return kStarved;
    }
    return done;
}

bool start(const Plan& plan, const Transport& disk, const Transport& network) {
    io_memory::release_all();
    if (!block.start(disk, plan.ring_features, 1, virtio::kNoVector)) return false;
    const u64 wanted = plan.ring_features | virtio::kNetMac;
    if (!net.start(network, wanted, virtio::Virtqueue::kSizeMax, virtio::kNoVector)) return false;
    places = block.capacity_sectors() * virtio::kSectorBytes / kReadBytes;
    if (places == 0) return false;
    data = io_memory::allocate(u64{Block::kSlots} * kReadBytes, 4096);
    frame_bytes = static_cast<u32>(option_value("size", 1514));
    frame = io_memory::allocate(net.header_bytes() + frame_bytes, 64);
    for (u32 n = 0; n < 6; ++n) {
        io_memory::at<u8>(frame + net.header_bytes() + n) = 0xff;
        io_memory::at<u8>(frame + net.header_bytes() + 6 + n) = net.mac()[n];
    }
    io_memory::at<u16>(frame + net.header_bytes() + 12) = 0xb588;
    return true;
}

void begin_flood(bool is_by_net) {
    if (is_by_net) {
        for (u16 n = 0; n < net.queue(Net::kSend).size(); ++n) send(n);
        net.queue(Net::kSend).kick();
    } else {
        for (u16 n = 0; n < Block::kSlots; ++n) read(n, n);
        block.queue(0).kick();
    }
}

}  // namespace

void check_fairness(const Plan& plan) {
    const virtio::Kind kind = virtio::transport_option();
    Transport disk;
    Transport network;
    if (kind != virtio::Kind::Mmio) pci::set_up();
    if (!disk.find(kind, virtio::kBlock, 0) || !network.find(kind, virtio::kNet, 0))
        return fail("fair: needs a disk and a network");
    if (!start(plan, disk, network)) return fail("fair: the devices do not start");
    const bool is_by_net = !option_is("flood", "blk");
    u64 (*const go_on)() = is_by_net ? go_on_sending : go_on_reading;
    begin_flood(is_by_net);
    u64 most = 0;
    u64 total = 0;
    const u64 rounds = option_value("rounds", 500);
    for (u64 n = 0; n < rounds && most < kStarved; ++n) {
        go_on();  // what was done before is not counted
        if (is_by_net) {
            // Its answer needs no file, whose speed would be measured.
            block.submit(0, 0, BlockRequest::GetId, 0, data, kIdBytes);
            block.queue(0).kick();
        } else {
            send(0);
            net.queue(Net::kSend).kick();
        }
        virtio::Virtqueue& queue = is_by_net ? block.queue(0) : net.queue(Net::kSend);
        const u64 done = await(queue, go_on);
        total += done;
        if (done > most) most = done;
    }
    Line{}.add("fair rounds ").add_decimal(rounds).add(" flood ").add_decimal(total).print_line();
    Line{}.add("fair most ").add_decimal(most).print_line();
    expect("fair", most < kStarved);
    expect("fair reset", disk.reset() && network.reset());
}

}  // namespace guest::checks
