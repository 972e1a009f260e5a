// SPDX-License-Identifier: Apache-2.0
// Registers, configuration space, BARs and MSI-X.
#include "firmware/guests/hostileio/abuse.h"

namespace guest::hostile {
namespace {

constexpr u32 kSavedWords = 16;
constexpr u64 kScratch = MiB(8);
constexpr u32 kScratchBytes = u32{8} << 20;
constexpr u16 kConfigBytes = 256;
constexpr u64 kMmioWindow = 0x200;
constexpr u16 kLegacyPorts = 0x40;

/// SAFETY of the four: `at` lies in a mapped device window, or in scratch.
void write_as(u64 at, u32 width_choice, u64 value) {
    switch (width_choice & 3) {
        case 0: *reinterpret_cast<volatile u8*>(at) = static_cast<u8>(value); break;
        case 1: *reinterpret_cast<volatile u16*>(at) = static_cast<u16>(value); break;
        case 2: *reinterpret_cast<volatile u32*>(at) = static_cast<u32>(value); break;
        default: *reinterpret_cast<volatile u64*>(at) = value; break;
    }
}

void read_as(u64 at, u32 width_choice) {
    switch (width_choice & 3) {
        case 0: static_cast<void>(*reinterpret_cast<volatile u8*>(at)); break;
        case 1: static_cast<void>(*reinterpret_cast<volatile u16*>(at)); break;
        case 2: static_cast<void>(*reinterpret_cast<volatile u32*>(at)); break;
        default: static_cast<void>(*reinterpret_cast<volatile u64*>(at)); break;
    }
}

/// The registers of queue addresses, which get only addresses that the device may write to.
bool is_queue_address(virtio::Kind kind, u64 offset, u64 size_bytes) {
    if (kind == virtio::Kind::Mmio) return offset < 0xa8 && offset + size_bytes > 0x80;
    if (kind == virtio::Kind::Legacy) return offset < 12 && offset + size_bytes > 8;
    return offset < 56 && offset + size_bytes > 32;
}

}  // namespace

u64 Abuse::writable_address() {
    switch (random_.below(10)) {
        case 0: return end_of_memory_ - random_.below(64);
        case 1: return end_of_memory_ + random_.below(4096);
        case 2: return 0xc000'0000 + u64{random_.below(0x3000'0000)};
        case 3: return ~u64{0} - random_.below(64);
        case 4: return u64{random_.next()} << 32 | random_.next() | u64{1} << 62;
        case 5: return 0xfee0'0000 + random_.below(4096);
        default: return kScratch + random_.below(kScratchBytes - 0x1'0000);
    }
}

u64 Abuse::any_address() {
    if (random_.one_in(8)) return random_.next();
    return random_.one_in(16) ? random_.next64() : writable_address();
}

u32 Abuse::any_size() {
    constexpr u32 kSizes[] = {0, 1, 15, 16, 17, 511, 512, 513, 4096, 65536, 0x7fff'ffff, 0xffff'ffff};
    return random_.one_in(16) ? random_.next() : kSizes[random_.below(sizeof kSizes / sizeof kSizes[0])];
}

void Abuse::write_register(const Transport& device) {
    const u32 width = random_.below(4);
    const u64 bytes = u64{1} << width;
    if (device.kind() == virtio::Kind::Legacy) {
        // A legacy queue's address is a page number: one of scratch.
        const u16 offset = static_cast<u16>(random_.below(kLegacyPorts));
        const bool is_address = is_queue_address(device.kind(), offset, 4);
        const u32 value =
            is_address ? static_cast<u32>(kScratch >> 12) + random_.below(0x400) : random_.next();
        const u16 port = static_cast<u16>(device.common() + (is_address ? 8 : offset));
        if (random_.one_in(3)) return static_cast<void>(in32(port));
        return is_address || width > 1 ? out32(port, value) : out8(port, static_cast<u8>(value));
    }
    u64 base = device.common();
    u64 window = device.kind() == virtio::Kind::Mmio ? kMmioWindow : 64;
    if (device.kind() == virtio::Kind::Pci && random_.one_in(3)) {
        base = device.notify();
        window = 0x100;
    }
    u64 offset = random_.below(static_cast<u32>(window));
    if (random_.one_in(2)) offset &= ~(bytes - 1);
    if (random_.one_in(4)) return read_as(base + offset, width);
    if (base == device.common() && is_queue_address(device.kind(), offset, bytes)) {
        // A whole address, in the order of drivers; halves of two could make an address of the guest's own.
        const u64 field = device.kind() == virtio::Kind::Mmio ? 0x80 + (offset - 0x78) / 16 * 16
                                                              : align_down(offset < 32 ? 32 : offset, 8);
        const u64 address = writable_address();
        mmio_write(base + field + 4, static_cast<u32>(address >> 32));
        return mmio_write(base + field, static_cast<u32>(address));
    }
    const u64 value = random_.one_in(2) ? random_.next64() : u64{1} << random_.below(9);
    write_as(base + offset, width, value);
}

void Abuse::scramble_registers(const Transport& device) {
    for (u32 n = 0; n < 64; ++n) write_register(device);
}

void Abuse::scramble_config_space(const Transport& device) {
    if (device.kind() == virtio::Kind::Mmio) return scramble_registers(device);
    const pci::Function function = device.function();
    u32 saved[kSavedWords];
    for (u32 n = 0; n < kSavedWords; ++n) saved[n] = pci::read32(function, static_cast<u16>(n * 4));
    for (u32 n = 0; n < 64; ++n) {
        const u32 width = u32{1} << random_.below(3);
        const u16 offset = static_cast<u16>(random_.below(kConfigBytes) & ~(width - 1));
        if (random_.one_in(3)) {
            static_cast<void>(pci::read(function, offset, width));
        } else if (offset >= 0x28 || offset < 4) {
            pci::write(function, offset, width, random_.next());
        }
    }
    restore(function, saved);
}

/// Command, BARs, interrupt line; and MSI-X off.
void Abuse::restore(pci::Function function, const u32* saved) const {
    pci::write16(function, pci::kCommand, 0);
    for (u32 n = 4; n < 10; ++n) pci::write32(function, static_cast<u16>(n * 4), saved[n]);
    pci::write8(function, pci::kInterruptLine, static_cast<u8>(saved[15]));
    const u8 msix = pci::find_capability(function, pci::kCapabilityMsix, 0);
    if (msix != 0) pci::write16(function, static_cast<u16>(msix + 2), 0);
    pci::write16(function, pci::kCommand, static_cast<u16>(saved[1]));
}

void Abuse::scramble_msix(const Transport& device) {
    // Data: fixed or lowest priority, edge or level, a vector with a gate or one that is illegal.
    constexpr u32 kData[] = {0x33, 0x3f, 0x21, 0, 5, 0x8033, 0xc033, 0x133, 0xffff'0033};
    pci::Msix msix;
    if (device.kind() == virtio::Kind::Mmio || !msix.find(device.function()))
        return scramble_registers(device);
    const u64 table = msix.table();
    const u64 end = table + u64{msix.size()} * 16;
    for (u32 n = 0; n < 32; ++n) {
        const u64 at = table + random_.below(static_cast<u32>(end - table) + 64) / 4 * 4;
        const bool is_data = (at - table) % 16 == 8;
        const u32 value = is_data ? kData[random_.below(sizeof kData / sizeof kData[0])] : random_.next();
        if (random_.one_in(4)) {
            read_as(at, random_.below(4));
        } else {
            mmio_write(at, value);
        }
        if (random_.one_in(4)) msix.enable(random_.one_in(2), random_.one_in(2));
        if (random_.one_in(8)) write_register(device);
    }
    for (u32 n = 0; n < msix.size(); ++n) {
        mmio_write(table + u64{n} * 16 + 8, 0x33);
        msix.mask(n, true);
    }
    msix.enable(false, false);
}

void Abuse::move_bars(const Transport& device) {
    if (device.kind() == virtio::Kind::Mmio) return scramble_registers(device);
    const pci::Function function = device.function();
    u32 saved[kSavedWords];
    for (u32 n = 0; n < kSavedWords; ++n) saved[n] = pci::read32(function, static_cast<u16>(n * 4));
    for (u32 round = 0; round < 4; ++round) {
        const u32 index = random_.below(pci::kBars);
        pci::write16(function, pci::kCommand, 0);
        const u32 low = random_.one_in(8) ? ~u32{0} : static_cast<u32>(writable_address());
        pci::write32(function, static_cast<u16>(pci::kBar0 + index * 4), low);
        bool is_safe = true;
        for (u32 n = 0; n < pci::kBars; ++n) {
            const pci::Bar bar = pci::read_bar(function, n);
            // Not over the guest itself, nor over the interrupt controllers.
            const bool is_there = (saved[4 + n] & ~u32{15}) != 0;
            if (is_there && !bar.is_port && bar.address < kScratch) is_safe = false;
            if (bar.is_64bit) ++n;
        }
        if (is_safe) pci::write16(function, pci::kCommand, static_cast<u16>(random_.next() & 0x407));
        for (u32 n = 0; n < 8; ++n) {
            const u64 at = align_down(kScratch + random_.below(kScratchBytes - 8), 8);
            if (random_.one_in(2)) {
                write_as(at, 3, random_.next64());
            } else {
                read_as(at, 3);
            }
        }
        const pci::Bar bar = pci::read_bar(function, index);
        if (is_safe && !bar.is_port && bar.address >= kScratch && bar.address < 0xfec0'0000) {
            map_address(bar.address);
            for (u32 n = 0; n < 8; ++n) read_as(bar.address + random_.below(0x40) * 8, random_.below(4));
        }
    }
    restore(function, saved);
}

}  // namespace guest::hostile
