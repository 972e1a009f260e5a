// SPDX-License-Identifier: Apache-2.0
// virtioorders: takes the steps of a disk's driver in random order, with I/O in flight; afterwards the disk
// must work as ever. Or, with `what=rewire`, moves doorbells and rewrites the interrupt's message before each
// request.
//
// `transport=pci|legacy|mmio`, `seed=N`, `count=N` orders or requests, `stay=N` requests that move nothing.
// The first disk needs two queues. Its content is overwritten. Spec: virtio 1.2 §2.1 "Device Status Field",
// §3.1 "Device Initialization".
#include "firmware/guests/runtime/apic.h"
#include "firmware/guests/runtime/boot_info.h"
#include "firmware/guests/runtime/clock.h"
#include "firmware/guests/runtime/interrupts.h"
#include "firmware/guests/runtime/io_memory.h"
#include "firmware/guests/runtime/random.h"
#include "firmware/guests/runtime/user.h"
#include "firmware/guests/runtime/virtio_block.h"
#include "firmware/guests/runtime/virtio_options.h"

namespace guest {
namespace {

using io_memory::at;
using virtio::Kind;
using virtio::Transport;

constexpr u64 kDefaultCount = 300;
constexpr u8 kVectors[] = {0x33, 0x35};
constexpr u16 kQueues = 2;
constexpr u16 kNext = 1;
constexpr u16 kWrite = 2;
constexpr u32 kDataBytes = 4096;
constexpr u32 kChainParts = 3;
constexpr u32 kAtOnce = 4;
constexpr u32 kTrapBar = 4;
/// Without moves before them.
constexpr u32 kRequestsAfter = 8;
/// Outside RAM, and as a legacy driver's page number too.
constexpr u64 kOutside = u64{0x0fff'ffff} << 12;
constexpr u64 kMmioQueueSelect = 0x30;
constexpr u64 kMmioQueueReady = 0x44;

constinit Transport device;
constinit virtio::Block block;
constinit volatile u32 interrupts = 0;

enum class Step : u8 { Begin, Good, Bad, None, Ask, Go, GiveUp, Break, Reset, Wait };

/// A queue whose chains are written once; a new request only needs a new index.
class Ring final {
  public:
    void lay_out(u16 size, u64 data) {
        size_ = size;
        // A legacy driver's: all in one piece, the used ring on a page of its own.
        const u64 used = align_up(size * u64{16} + 6 + size * u64{2}, u64{4096});
        const u64 base = io_memory::allocate(used + 6 + size * u64{8}, 4096);
        places_ = {base, base + size * u64{16}, base + used};
        const u64 headers = io_memory::allocate(chains() * u64{32}, 32);
        for (u32 n = 0; n < chains(); ++n) {
            // Writes, and the flushes that make them stable, which the host takes its time for.
            const bool is_flush = n % 2 != 0;
            const u64 header = headers + n * u64{32};
            at<u32>(header) = is_flush ? 4 : 1;
            at<u64>(header + 8) = n * u64{kDataBytes / 512};
            const u16 first = static_cast<u16>(n * kChainParts);
            const u16 last = static_cast<u16>(first + 2);
            describe(first, header, 16, kNext, is_flush ? last : static_cast<u16>(first + 1));
            describe(static_cast<u16>(first + 1), data, kDataBytes, kNext, last);
            describe(last, header + 16, 1, kWrite, 0);
        }
        for (u32 n = 0; n < size; ++n)
            // NOLINTNEXTLINE(clang-analyzer-core.DivideZero): a queue has room for more than one chain
            at<u16>(places_.driver_area + 4 + n * 2) = static_cast<u16>(n % chains() * kChainParts);
    }
    /// Resets the indices, for a device that was reset.
    void forget() const {
        at<u16>(places_.driver_area + 2) = 0;
        at<u16>(places_.device_area + 2) = 0;
    }
    void ask() const {
        const u16 asked = at<u16>(places_.driver_area + 2);
        const u16 answered = at<u16>(places_.device_area + 2);
        if (static_cast<u16>(asked - answered) + kAtOnce <= chains())
            at<u16>(places_.driver_area + 2) = static_cast<u16>(asked + kAtOnce);
    }
    void break_rules() const { at<u16>(places_.driver_area + 2) = static_cast<u16>(answered() - 3); }
    [[nodiscard]] u16 answered() const { return at<u16>(places_.device_area + 2); }
    [[nodiscard]] const virtio::QueueAddresses& places() const { return places_; }
    [[nodiscard]] u16 size() const { return size_; }

  private:
    [[nodiscard]] u32 chains() const { return size_ / kChainParts; }
    void describe(u16 index, u64 address, u32 size_bytes, u16 flags, u16 next) const {
        const u64 place = places_.descriptors + index * u64{16};
        at<u64>(place) = address;
        at<u32>(place + 8) = size_bytes;
        at<u16>(place + 12) = flags;
        at<u16>(place + 14) = next;
    }

    virtio::QueueAddresses places_{};
    u16 size_ = 0;
};

constinit Ring rings[kQueues];

void take_back(u16 index) {
    if (device.kind() == Kind::Legacy)
        return static_cast<void>(device.enable_queue(index, 0, {}, virtio::kNoVector));
    if (device.kind() != Kind::Mmio) return;  // the modern PCI registers cannot disable a queue
    mmio_write(device.common() + kMmioQueueSelect, index);
    mmio_write(device.common() + kMmioQueueReady, 0);
}

void begin() {
    device.set_status(virtio::kAcknowledge | virtio::kDriver);
    const bool is_legacy = device.kind() == Kind::Legacy;
    device.set_driver_features(virtio::kBlockFlush | (is_legacy ? 0 : virtio::kVersion1));
    if (!is_legacy) device.set_status(virtio::kAcknowledge | virtio::kDriver | virtio::kFeaturesOk);
}

void take(Step step, u16 index) {
    const Ring& ring = rings[index];
    const u16 size = ring.size();
    const virtio::QueueAddresses outside{kOutside, kOutside + 0x1'0000, kOutside + 0x2'0000};
    switch (step) {
        case Step::Begin: return begin();
        case Step::Good:
            return static_cast<void>(device.enable_queue(index, size, ring.places(), virtio::kNoVector));
        case Step::Bad:
            return static_cast<void>(device.enable_queue(index, size, outside, virtio::kNoVector));
        case Step::None: return take_back(index);
        case Step::Ask: ring.ask(); return device.doorbell(index).ring(index);
        case Step::Go: return virtio::drive(device);
        case Step::GiveUp: return device.set_status(virtio::kFailed);
        case Step::Break: ring.break_rules(); return device.doorbell(index).ring(index);
        case Step::Reset:
            if (!device.reset()) fail("virtioorders: a reset did not end");
            for (const Ring& each : rings) each.forget();
            return;
        case Step::Wait:
            for (u32 n = 0; n < 100; ++n) pause();
            return;
    }
}

/// Queue 0 is busy when queue 1 fails; then DRIVER_OK.
void fail_while_busy() {
    take(Step::Begin, 0);
    take(Step::Good, 0);
    take(Step::Ask, 0);
    take(Step::Bad, 1);
    take(Step::Ask, 1);
    take(Step::None, 1);
    take(Step::Go, 0);
    take(Step::Ask, 0);
}

void any_order(Random& random) {
    if (!random.one_in(4)) {
        take(Step::Begin, 0);
        take(Step::Good, 0);
        if (random.one_in(2)) take(Step::Go, 0);
        take(Step::Ask, 0);
    }
    const u32 steps = 2 + random.below(8);
    for (u32 n = 0; n < steps; ++n)
        take(static_cast<Step>(random.below(static_cast<u32>(Step::Wait) + 1)),
             static_cast<u16>(random.below(kQueues)));
}

bool is_usable(u64 buffer) {
    return block.start(device, 0, 1, virtio::kNoVector) &&
           block.request(virtio::BlockRequest::Read, 0, buffer, kDataBytes) == virtio::kBlockOk;
}

void try_orders(u64 count) {
    const u64 data = io_memory::allocate(kDataBytes, kDataBytes);
    for (u16 n = 0; n < kQueues; ++n) {
        if (device.queue_size_max(n) < kAtOnce * kChainParts) return fail("virtioorders: a queue is missing");
        rings[n].lay_out(device.queue_size_max(n), data);
    }
    const u64 free_from = io_memory::next;
    Random random(option_value("seed", 1));
    u64 answers = 0;
    for (u64 n = 0; n < count && failure_count() == 0; ++n) {
        n % 3 == 0 ? fail_while_busy() : any_order(random);
        take(Step::Wait, 0);
        answers += rings[0].answered();
        take(Step::Reset, 0);
        if (n % 32 != 0) continue;
        io_memory::next = free_from;
        if (!is_usable(data)) return fail("virtioorders: the disk does not work after a reset");
        take(Step::Reset, 0);
    }
    Line{}.add("virtioorders: answers ").add_decimal(answers).print_line();
}

/// `count` requests, each with a moved doorbell and a rewritten interrupt; then a few without.
void rewire(u64 count) {
    const u64 stay = option_value("stay", kRequestsAfter);
    pci::Msix msix;
    const pci::Function function = device.function();
    if (device.kind() != Kind::Pci || !msix.find(function)) return fail("virtioorders: no MSI-X");
    const u64 data = io_memory::allocate(kDataBytes, kDataBytes);
    const pci::Bar bar = pci::read_bar(function, kTrapBar);
    const u64 other = bar.address + 0x10'0000;  // behind all functions' BARs
    pci::map_range(other, 0x1000);
    msix.set(0, kVectors[0]);
    msix.enable(true, false);
    if (!block.start(device, virtio::kEventIdx, 1, 0)) return;
    virtio::Doorbell doorbell = device.doorbell(0);
    const u64 offset = doorbell.address - bar.address;
    u64 place = bar.address;
    bool came = true;
    for (u64 n = 0; n < count + stay && came; ++n) {
        const u32 before = interrupts;
        if (n < count) {
            place = n % 2 != 0 ? bar.address : other;
            pci::write_bar(function, kTrapBar, place);
            mmio_write(msix.table() + 8, kVectors[n % 2]);
        }
        block.queue(0).want_interrupts(true);
        doorbell.address = place + offset;
        if (!block.submit(0, 0, virtio::BlockRequest::Read, 0, data, kDataBytes))
            return fail("virtioorders: the ring is full");
        doorbell.ring(0);
        // The last ones are not polled for before their interrupt: polling would show the device a new wish.
        came = n < count || spin_for(interrupts, before + 1, kArrivalMicroseconds);
        if (block.wait(0, 1) != 1 || block.status(0) != virtio::kBlockOk)
            return fail("virtioorders: a request was not answered");
    }
    expect("virtioorders: the last interrupts", came);
}

u32 run() {
    const Kind kind = virtio::transport_option();
    if (kind != Kind::Mmio) pci::set_up();
    const u64 count = option_value("count", kDefaultCount);
    if (!device.find(kind, virtio::kBlock, 0)) {
        fail("virtioorders: no disk on this transport");
    } else if (option_is("what", "rewire")) {
        rewire(count);
    } else {
        try_orders(count);
    }
    if (failure_count() == 0) print("virtioorders: done\n");
    return failure_count();
}

}  // namespace
}  // namespace guest

extern "C" guest::u32 guest_main() {
    using namespace guest;
    for (const u8 vector : kVectors) set_gate(vector, apic::count_interrupt<interrupts>);
    apic::enable();
    run_user(run);
}
