// SPDX-License-Identifier: Apache-2.0
// all_devices: for device_cost; has every block and network device work at depth, says "ready", and then
// spins forever with all of them started. In ring 3.
//
//   irq=msix, transport=, ring= and so on: as in firmware/guests/runtime/virtio_options.h
#include "firmware/guests/runtime/boot_info.h"
#include "firmware/guests/runtime/io_memory.h"
#include "firmware/guests/runtime/net_frames.h"
#include "firmware/guests/runtime/user.h"
#include "firmware/guests/runtime/virtio_block.h"
#include "firmware/guests/runtime/virtio_net.h"
#include "firmware/guests/runtime/virtio_options.h"

namespace guest {
namespace {

constexpr u16 kDepth = 32;
constexpr u32 kDataBytes = 65536;
constexpr u32 kRounds = 8;
constexpr u32 kFrameBytes = 1460;

constinit virtio::Transport transport;

/// Enough requests that every device is promoted to the I/O thread and uses all of its memory.
void work_disk(u64 data, u16 vector) {
    virtio::Block block;
    if (!block.start(transport, virtio::ring_options() | virtio::kBlockFlush, 1, vector)) return;
    for (u32 round = 0; round < kRounds; ++round) {
        const auto type = round % 2 == 0 ? virtio::BlockRequest::Write : virtio::BlockRequest::Read;
        for (u16 slot = 0; slot < kDepth; ++slot)
            block.submit(0, slot, type, u64{slot} * (kDataBytes / virtio::kSectorBytes),
                         data + u64{slot % 4U} * kDataBytes, kDataBytes);
        block.queue(0).kick();
        if (block.wait(0, kDepth) != kDepth) fail("all_devices: a disk does not answer");
    }
}

void work_net(u64 data, u16 vector) {
    constexpr u64 kWanted = virtio::kNetMac | virtio::kNetChecksum | virtio::kNetGuestChecksum |
                            virtio::kNetHostTso4 | virtio::kNetGuestTso4 | virtio::kNetMergedBuffers;
    virtio::Net net;
    if (!net.start(transport, virtio::ring_options() | kWanted, virtio::Virtqueue::kSizeMax, vector)) return;
    // The place of received frames does not matter.
    for (u16 n = 0; n < kDepth; ++n) net.receive(data + u64{n} * 4096, 4096, n);
    net.queue(virtio::Net::kReceive).kick();
    const u64 frame = data + u64{kDepth} * 4096;
    virtio::Virtqueue& queue = net.queue(virtio::Net::kSend);
    for (u32 round = 0; round < kRounds; ++round) {
        write_bench_frame(frame, net.header_bytes(), net.mac(), kFrameBytes);
        for (u16 n = 0; n < kDepth; ++n) net.send(frame, kFrameBytes, n);
        queue.kick();
        for (u16 taken = 0; taken < kDepth;) {
            virtio::Completion completion;
            if (queue.take(completion)) {
                ++taken;
            } else {
                pause();
            }
        }
    }
}

u32 work() {
    pci::set_up();
    const u64 data = io_memory::allocate(u64{4} * kDataBytes, 4096);
    u32 found = 0;
    constexpr u16 kDeviceIds[] = {virtio::kBlock, virtio::kNet};
    for (const u16 device_id : kDeviceIds) {
        for (u32 index = 0; transport.find(virtio::transport_option(), device_id, index); ++index) {
            u16 vector = virtio::kNoVector;
            if (!virtio::connect_interrupts(transport, virtio::interrupt_option(), vector)) break;
            ++found;
            if (device_id == virtio::kBlock) {
                work_disk(data, vector);
            } else {
                work_net(data, vector);
            }
        }
    }
    if (failure_count() != 0) return failure_count();
    Line{}.add("ready ").add_decimal(found).print_line();
    for (;;) pause();
}

}  // namespace
}  // namespace guest

extern "C" guest::u32 guest_main() {
    using namespace guest;
    virtio::prepare_interrupts(virtio::interrupt_option());
    run_user(work);
}
