// SPDX-License-Identifier: Apache-2.0
// hostileio: misuses every virtio device for `count=N` rounds (200), chosen by `seed=N`: registers in any
// order, rings with any content, descriptors that change during a request, MSI-X tables of nonsense, BARs on
// top of RAM. Afterwards each device must still work when it is reset, set up and used as by its driver.
//
// `transport=pci|legacy|mmio`; `only=0` to `only=5`: one kind of misuse; `verbose=1` names each. Leaves out
// only accesses by which the guest would end itself: devices get no address below 4 MiB to write to, and no
// message is an INIT or goes to a vector without a gate. Overwrites disks.
#include "firmware/guests/hostileio/abuse.h"
#include "firmware/guests/runtime/apic.h"
#include "firmware/guests/runtime/boot_info.h"
#include "firmware/guests/runtime/user.h"
#include "firmware/guests/runtime/virtio_block.h"
#include "firmware/guests/runtime/virtio_options.h"

namespace guest {
namespace {

using virtio::Kind;
using virtio::Transport;

constexpr u32 kDevicesMax = 16;
constexpr u64 kDefaultRounds = 200;
constexpr u8 kFirstVector = 0x20;
constexpr u8 kVectorEnd = 0x40;

constinit Transport devices[kDevicesMax];
constinit u32 device_count = 0;
constinit virtio::Block block;
constinit virtio::Virtqueue queue;
constinit volatile u32 interrupts = 0;

u64 find_end_of_memory() {
    MemoryMapWalk walk;
    MemoryRange range{};
    u64 end = 0;
    while (walk.next(range)) {
        if (range.type == 1 && range.first < u64{1} << 32 && range.first + range.size_bytes > end)
            end = range.first + range.size_bytes;
    }
    return end;
}

void find_devices(Kind kind) {
    while (device_count < kDevicesMax && devices[device_count].find(kind, 0, device_count)) ++device_count;
}

void misuse(hostile::Abuse& abuse, const Transport& device) {
    static const u64 only = option_value("only", ~u64{0});
    static const bool is_verbose = option_value("verbose", 0) != 0;
    const u32 kind = only < 8 ? static_cast<u32>(only) : abuse.random().below(8);
    if (is_verbose)
        Line{}
            .add("hostileio: misuse ")
            .add_decimal(kind)
            .add(" of type ")
            .add_decimal(device.device_id())
            .print_line();
    switch (kind) {
        case 0: return abuse.scramble_registers(device);
        case 1: return abuse.scramble_order(device);
        case 2: return abuse.scramble_config_space(device);
        case 3: return abuse.scramble_msix(device);
        case 4: return abuse.move_bars(device);
        default: return abuse.scramble_rings(device);
    }
}

/// A request, or a buffer of noise.
bool is_usable(const Transport& device) {
    io_memory::release_all();
    const u64 buffer = io_memory::allocate(4096, 4096);
    if (device.device_id() == virtio::kBlock) {
        return block.start(device, 0, 1, virtio::kNoVector) &&
               block.request(virtio::BlockRequest::Read, 0, buffer, 4096) == virtio::kBlockOk;
    }
    u64 features = 0;
    if (!virtio::negotiate(device, virtio::kVersion1, features)) return false;
    if (!queue.start(device, 0, 64, features, virtio::kNoVector)) return false;
    virtio::drive(device);
    if (device.device_id() != virtio::kEntropy) return (device.status() & virtio::kNeedsReset) == 0;
    const virtio::Segment part{buffer, 64, true};
    virtio::Completion completion{};
    queue.add(&part, 1, 0);
    queue.kick();
    const u64 end = read_tsc() + tsc_ticks(2'000'000);
    while (!queue.take(completion)) {
        if (read_tsc() > end) return false;
    }
    return true;
}

u32 run() {
    const Kind kind = virtio::transport_option();
    if (kind != Kind::Mmio) pci::set_up();
    find_devices(kind);
    if (device_count == 0) fail("hostileio: no virtio device on this transport");
    hostile::Abuse abuse(option_value("seed", 1), find_end_of_memory());
    const u64 rounds = option_value("count", kDefaultRounds);
    for (u64 n = 0; n < rounds && device_count != 0; ++n) {
        const Transport& device = devices[abuse.random().below(device_count)];
        misuse(abuse, device);
        // Sometimes the next round finds the device as this one left it.
        if (!abuse.random().one_in(4) && !device.reset()) {
            Line{}.add("hostileio: round ").add_decimal(n).print_line();
            fail("hostileio: a reset did not end");
            break;
        }
    }
    for (u32 n = 0; n < device_count; ++n) {
        Line name;
        name.add("device ").add_decimal(n).add(", type ").add_decimal(devices[n].device_id());
        expect(name.text(), is_usable(devices[n]) && devices[n].reset());
    }
    Line{}.add("hostileio: interrupts ").add_decimal(interrupts).print_line();
    if (failure_count() == 0) print("hostileio: done\n");
    return failure_count();
}

}  // namespace
}  // namespace guest

extern "C" guest::u32 guest_main() {
    using namespace guest;
    for (u8 vector = kFirstVector; vector < kVectorEnd; ++vector)
        set_gate(vector, apic::count_interrupt<interrupts>);
    apic::enable();
    run_user(run);
}
