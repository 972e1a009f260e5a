// SPDX-License-Identifier: Apache-2.0
// Rings of any content, and a driver's steps in any order.
#include "firmware/guests/hostileio/abuse.h"
#include "firmware/guests/runtime/interrupts.h"
#include "firmware/guests/runtime/virtqueue.h"

namespace guest::hostile {
namespace {

using io_memory::at;

constexpr u64 kScratch = MiB(8);
constexpr u64 kRings = MiB(4);
constexpr u32 kRingsBytes = u32{4} << 20;
constexpr u16 kQueuesTried = 3;
constexpr u16 kWrite = 2;
constexpr u32 kChanges = 3000;
constexpr u32 kHeaders = 256;  // at scratch's beginning

}  // namespace

/// Requests that begin well get further: scratch begins with headers.
void Abuse::fill_scratch() {
    constexpr u32 kTypes[] = {0, 1, 4, 8, 11, 13};
    for (u32 n = 0; n < kHeaders; ++n) {
        const u64 place = kScratch + n * u64{16};
        at<u32>(place) = random_.one_in(8) ? random_.next() : kTypes[random_.below(6)];
        at<u32>(place + 4) = random_.one_in(2) ? 0 : random_.next();
        at<u64>(place + 8) = random_.one_in(2) ? random_.below(20'000) : random_.next64();
    }
}

void Abuse::fill_descriptor(u64 place, u32 size, bool is_packed) {
    u16 flags = static_cast<u16>(random_.below(8));
    if (random_.one_in(16)) flags = static_cast<u16>(random_.next());
    if (is_packed) flags = static_cast<u16>((flags & 0x7f7f) | (random_.one_in(2) ? 0x80 : 0x8000));
    const bool is_writable = (flags & kWrite) != 0;
    at<u64>(place) = is_writable         ? writable_address()
                     : random_.one_in(4) ? any_address()
                                         : writable_address();
    // Bytes that the device writes from scratch's beginning on stay in scratch, or leave RAM.
    at<u32>(place + 8) =
        is_writable && at<u64>(place) < end_of_memory_ - 64 ? random_.below(0x1'0000) : any_size();
    const u16 next = static_cast<u16>(random_.one_in(8) ? random_.next() : random_.below(size + 1));
    at<u16>(place + 12) = is_packed ? next : flags;
    at<u16>(place + 14) = is_packed ? flags : next;
}

void Abuse::fill_sound(u64 place, u32 index, u32 size, bool is_packed) {
    constexpr u16 kNext = 1;
    constexpr u32 kSizes[] = {16, 4096, 1};
    const u32 part = index % 3;
    const bool is_last = part == 2 || index + 1 == size;
    const bool is_writable = part == 2 || (part == 1 && random_.one_in(2));
    u16 flags = static_cast<u16>((is_last ? 0 : kNext) | (is_writable ? kWrite : 0));
    if (is_packed) flags |= 0x80;
    at<u64>(place) =
        kScratch + random_.below(part == 0 ? kHeaders : 2048) * u64{16} + (part == 0 ? 0 : 0x1'0000);
    at<u32>(place + 8) = kSizes[part];
    at<u16>(place + 12) = is_packed ? static_cast<u16>(index) : flags;
    at<u16>(place + 14) = is_packed ? flags : static_cast<u16>(index + 1);
}

void Abuse::fill_rings(u64 descriptors, u64 driver_area, u32 size, bool is_packed) {
    // Half of the rings are sound except in a few places, so that requests get through.
    const bool is_mild = random_.one_in(2);
    for (u32 n = 0; n < size; ++n) {
        const u64 place = descriptors + u64{n} * 16;
        if (is_mild && !random_.one_in(16)) {
            fill_sound(place, n, size, is_packed);
            continue;
        }
        fill_descriptor(place, size, is_packed);
        if (!random_.one_in(8)) continue;
        // An indirect table of a few more descriptors, which may be indirect again.
        const u64 table = kRings + random_.below(kRingsBytes / 64 - 64) * u64{64};
        for (u32 entry = 0; entry < 6; ++entry) fill_descriptor(table + entry * u64{16}, 6, false);
        at<u64>(place) = table;
        at<u32>(place + 8) = random_.one_in(4) ? any_size() : 96;
        at<u16>(place + (is_packed ? 14 : 12)) = static_cast<u16>(at<u16>(place + (is_packed ? 14 : 12)) | 4);
    }
    if (is_packed) {
        at<u32>(driver_area) = is_mild ? 0 : random_.next();
        return;
    }
    for (u32 n = 0; n < size; ++n) {
        const u32 head = is_mild ? n * 3 % size : random_.below(size);
        at<u16>(driver_area + 4 + n * 2) = static_cast<u16>(random_.one_in(16) ? random_.next() : head);
    }
    at<u16>(driver_area) = is_mild ? u16{0} : static_cast<u16>(random_.below(3));
    at<u16>(driver_area + 4 + size * 2) = is_mild ? u16{0} : static_cast<u16>(random_.next());
    const u32 ahead = is_mild ? (size + 2) / 3 : random_.one_in(4) ? random_.next() : random_.below(size + 2);
    at<u16>(driver_area + 2) = static_cast<u16>(ahead);
}

void Abuse::scramble_rings(const Transport& device) {
    constexpr u64 kKept = u64{1} << 32;  // VERSION_1
    u64 features = 0;
    fill_scratch();
    const u64 offered = device.device_features();
    if (!virtio::negotiate(device, kKept | (random_.next64() & offered), features)) return;
    const bool is_packed = (features & virtio::kPacked) != 0;
    virtio::QueueAddresses places[kQueuesTried]{};
    u16 sizes[kQueuesTried]{};
    io_memory::release_all();
    pci::Msix msix;
    if (device.kind() != virtio::Kind::Mmio && random_.one_in(2) && msix.find(device.function())) {
        msix.set(0, kMsiVector);
        msix.enable(true, false);
    }
    for (u16 n = 0; n < kQueuesTried; ++n) {
        const u16 size_max = device.queue_size_max(n);
        if (size_max == 0 || size_max > 1024) continue;
        u16 size =
            device.kind() == virtio::Kind::Legacy ? size_max : static_cast<u16>(1U << random_.below(8));
        if (size > size_max) size = size_max;
        sizes[n] = size;
        const u64 ring = io_memory::allocate(0x1'0000, 0x1000);
        places[n] = {ring, ring + 0x4000, ring + 0x8000};
        // The legacy layout is computed from the first address.
        if (device.kind() == virtio::Kind::Legacy) places[n].driver_area = ring + size * u64{16};
        fill_rings(places[n].descriptors, places[n].driver_area, size, is_packed);
        virtio::QueueAddresses told = places[n];
        if (random_.one_in(16)) told.device_area = writable_address();
        if (random_.one_in(16)) told.driver_area = any_address();
        if (random_.one_in(16)) told.descriptors += random_.below(16);
        const u16 said = random_.one_in(16) ? static_cast<u16>(random_.next()) : size;
        device.enable_queue(n, said, told, static_cast<u16>(random_.one_in(2) ? 0 : 0xffff));
    }
    virtio::drive(device);
    for (u32 round = 0; round < 4; ++round) {
        const u16 n = static_cast<u16>(random_.below(kQueuesTried));
        device.doorbell(random_.one_in(8) ? static_cast<u16>(random_.below(64)) : n).ring(n);
        if (sizes[n] == 0) continue;
        for (u32 change = 0; change < kChanges; ++change) {
            const u64 place = places[n].descriptors + random_.below(sizes[n]) * u64{16};
            fill_descriptor(place, sizes[n], is_packed);
        }
        if (!is_packed)
            at<u16>(places[n].driver_area + 2) =
                static_cast<u16>(at<u16>(places[n].driver_area + 2) + random_.below(sizes[n] + 1U));
        if (random_.one_in(4)) write_register(device);
    }
}

void Abuse::scramble_order(const Transport& device) {
    const u64 ring = kRings + random_.below(kRingsBytes / 0x1'0000 - 1) * u64{0x1'0000};
    const virtio::QueueAddresses places{ring, ring + 0x4000, ring + 0x8000};
    for (u32 n = 0; n < 24; ++n) {
        const u16 index = static_cast<u16>(random_.below(4));
        const u16 size = static_cast<u16>(random_.one_in(3) ? random_.next() : 1U << random_.below(9));
        switch (random_.below(8)) {
            case 0: device.set_status(static_cast<u8>(random_.next())); break;
            case 1: device.set_status(static_cast<u8>(random_.below(16))); break;
            case 2: device.set_driver_features(random_.next64()); break;
            case 3: device.set_driver_features(device.device_features()); break;
            case 4: device.enable_queue(index, size, places, static_cast<u16>(random_.below(4))); break;
            case 5: device.doorbell(index).ring(index); break;
            case 6: device.set_config_vector(static_cast<u16>(random_.next())); break;
            default: virtio::drive(device); break;
        }
        if (random_.one_in(8)) static_cast<void>(device.take_interrupt());
    }
}

}  // namespace guest::hostile
