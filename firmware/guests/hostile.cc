// SPDX-License-Identifier: Apache-2.0
// hostile: pseudo-random port and MMIO accesses of every width. `seed=N` and `count=N` (1000)
// choose them.
//
// Leaves out only ports that end the guest by design (exit, reset and sleep ports, panic) and devices by
// which it could end itself (interrupt controllers and test device, which could send it an INIT).
#include "firmware/guests/runtime/boot_info.h"
#include "firmware/guests/runtime/random.h"

namespace guest {
namespace {

constexpr u64 kDefaultCount = 1000;

struct PortRange {
    u16 first;
    u16 last;
};
constexpr PortRange kLeftOut[] = {
    {0x64, 0x64},      // i8042 command: reset line
    {0x80, 0x80},      // boot marks: the timeline is for marks that mean something
    {0x92, 0x92},      // fast reset
    {0xe9, 0xe9},      // debug console: would print
    {0xf4, 0xf7},      // exit
    {0x3f8, 0x3f8},    // serial data: would print
    {0x501, 0x504},    // exit, as some kernels know it
    {0x505, 0x505},    // pvpanic
    {0x600, 0x605},    // PM1
    {0x610, 0x611},    // sleep control
    {0xcf9, 0xcf9},    // reset control
    {0x2000, 0x2047},  // test device
};

constexpr u64 kHole = 0xc000'0000;
/// Addresses where a device is, or could be.
constexpr u32 kBases[] = {0xc000'0000, 0xc000'1000, 0xc000'2000, 0xe000'0000, 0xe000'8000,
                          0xe00f'f000, 0xfec0'1000, 0xfed0'0000, 0xfeff'c000, 0xffff'f000};
constexpr u32 kBaseCount = sizeof kBases / sizeof kBases[0];
constexpr u64 kIoApic = 0xfec0'0000;
constexpr u64 kLocalApic = 0xfee0'0000;
constexpr u64 kPage = 0x1000;

bool is_left_out(u32 port, u32 width) {
    for (const PortRange& range : kLeftOut) {
        if (port <= range.last && port + width > range.first) return true;
    }
    return false;
}

/// `choice`: bit 0 write, bits 1-2 width.
void access_port(u32 port, u32 choice, u32 value) {
    const u32 width = 1U << (choice >> 1 & 3) % 3;
    const u16 at = static_cast<u16>(port);
    if (is_left_out(at, width)) return;
    switch (width << 1 | (choice & 1)) {
        case 2: in8(at); break;
        case 3: out8(at, static_cast<u8>(value)); break;
        case 4: in16(at); break;
        case 5: out16(at, static_cast<u16>(value)); break;
        case 8: in32(at); break;
        default: out32(at, value); break;
    }
}

template <typename T>
void access_as(u64 address, bool write, u32 value) {
    // SAFETY: entry.S maps the hole, or map_address() did; no object lies there.
    auto* at = reinterpret_cast<volatile T*>(address);
    if (write) {
        *at = static_cast<T>(value);
    } else {
        static_cast<void>(*at);
    }
}

void access_memory(u64 address, u32 choice, u32 value) {
    const u64 width = u64{1} << (choice >> 1 & 3);
    if (address > (u64{1} << 32) - width) return;
    if (address < kIoApic + kPage && address + width > kIoApic) return;
    if (address < kLocalApic + kPage && address + width > kLocalApic) return;
    map_address(address);
    map_address(address + width - 1);
    const bool write = (choice & 1) != 0;
    switch (width) {
        case 1: return access_as<u8>(address, write, value);
        case 2: return access_as<u16>(address, write, value);
        case 4: return access_as<u32>(address, write, value);
        default: return access_as<u64>(address, write, value);
    }
}

}  // namespace
}  // namespace guest

extern "C" guest::u32 guest_main() {
    using namespace guest;
    Random random(option_value("seed", 1));
    const u64 count = option_value("count", kDefaultCount);
    for (u64 n = 0; n < count; ++n) {
        const u32 choice = random.next();
        const u32 place = random.next();
        const u32 what = choice >> 8;
        switch (choice >> 3 & 3) {
            case 0: access_port(place & 0xffff, choice, what); break;
            case 1: access_port(place & 0x7ff, choice, what); break;  // where most devices are
            case 2: access_memory(kBases[place % kBaseCount] + (what & 0xfff), choice, place); break;
            default: access_memory(kHole + (place & 0x3fff'ffff), choice, what); break;
        }
    }
    out8(kSerialPort + 3, 3);  // the divisor latch may hide the data port,
    out8(kSerialPort + 4, 0);  // and loopback may be on
    pass("hostile");
    return 0;
}
