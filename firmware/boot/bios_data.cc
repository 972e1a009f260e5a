// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/bios_data.h"

#include <array>
#include <cstring>

#include "firmware/layout.h"
#include "vmm/error/verify.h"

namespace mayfly {

namespace {

constexpr u64 kVectors = 256;
constexpr u64 kBiosSegment = 0xf0000;
/// In the page of the reset vector.
constexpr Gpa kNoFunction{0xfff00};

// Offsets from 0x400.
constexpr u64 kCom1Base = 0x00;
constexpr u64 kEbdaSegment = 0x0e;
constexpr u64 kEquipment = 0x10;
constexpr u64 kBaseMemoryKib = 0x13;
constexpr u64 kVideoColumns = 0x4a;
constexpr u64 kCrtcPort = 0x63;
constexpr u64 kAreaBytes = 0x100;

/// A coprocessor, 80 x 25 characters in colour, one serial port.
constexpr u16 kEquipmentWord = 1 << 1 | 2 << 4 | 1 << 9;

template <typename T, std::size_t N>
void put(std::array<std::byte, N>& page, u64 offset_bytes, T value) {
    std::memcpy(&page[offset_bytes], &value, sizeof value);
}

}  // namespace

void write_bios_data(const GuestMemory& memory) {
    // push %bp; mov %sp,%bp; orb $1,6(%bp), which is the saved flags' carry; pop %bp; iret
    constexpr std::array<u8, 9> kCode{0x55, 0x89, 0xe5, 0x80, 0x4e, 0x06, 0x01, 0x5d, 0xcf};
    constexpr u32 kFarPointer = kBiosSegment >> 4 << 16 | (kNoFunction.value - kBiosSegment);
    std::array<std::byte, layout::kBiosData.value + kAreaBytes> page{};
    for (u64 vector = 0; vector < kVectors; ++vector) put(page, vector * sizeof(u32), kFarPointer);
    const auto put_data = [&](u64 offset_bytes, auto value) {
        put(page, layout::kBiosData.value + offset_bytes, value);
    };
    put_data(kCom1Base, layout::kPortSerial);
    put_data(kEbdaSegment, static_cast<u16>(layout::kEbda.value >> 4));
    put_data(kEquipment, kEquipmentWord);
    put_data(kBaseMemoryKib, static_cast<u16>(layout::kEbda.value / KiB(1)));
    put_data(kVideoColumns, u16{80});
    put_data(kCrtcPort, u16{0x3d4});
    VERIFY(memory.write(Gpa{0}, page) == MemStatus::Ok);
    VERIFY(memory.write(kNoFunction, std::as_bytes(std::span(kCode))) == MemStatus::Ok);
    const u8 ebda_kib = static_cast<u8>((layout::kVgaHole - layout::kEbda) / KiB(1));
    VERIFY(memory.write_object(layout::kEbda, ebda_kib) == MemStatus::Ok);
}

}  // namespace mayfly
