// SPDX-License-Identifier: Apache-2.0
// Configuration accesses, enumeration, BARs and MSI-X.
#include "firmware/guests/runtime/pci.h"

#include "firmware/guests/runtime/boot_info.h"

namespace guest::pci {
namespace {

constexpr u16 kAddressPort = 0xcf8;
constexpr u16 kDataPort = 0xcfc;
constexpr u64 kDefaultEcam = 0xe000'0000;
constexpr u64 kDefaultWindow = 0xc800'0000;
constexpr u16 kDefaultPorts = 0xc000;
constexpr u64 kFunctionBytes = 0x1000;

constexpr u16 kMsixControl = 2;
constexpr u16 kMsixTable = 4;
constexpr u16 kMsixPending = 8;
constexpr u16 kMsixEnable = 1 << 15;
constexpr u16 kMsixFunctionMask = 1 << 14;

constinit u64 ecam = 0;  // 0: by ports
constinit u64 next_memory = 0;
constinit u32 next_port = kDefaultPorts;

u64 msix_target(Function function, u8 capability, u16 offset) {
    const u32 place = read32(function, static_cast<u16>(capability + offset));
    return read_bar(function, place & 7).address + (place & ~u32{7});
}

u16 bar_offset(u32 index) { return static_cast<u16>(kBar0 + index * 4); }

}  // namespace

void map_range(u64 first, u64 size_bytes) {
    for (u64 at = align_down(first, MiB(2)); at < first + size_bytes; at += MiB(2)) map_address(at);
}

void set_up() {
    next_memory = option_value("pci_window", kDefaultWindow);
    if (option_value("cf8", has_option("cf8") ? 1 : 0) != 0) {
        ecam = 0;
        return;
    }
    ecam = option_value("ecam", 0);
    if (ecam == 0) ecam = acpi_ecam_base();
    if (ecam == 0) ecam = kDefaultEcam;
    map_range(ecam, kSlots * kFunctions * kFunctionBytes);
}

bool is_by_ports() { return ecam == 0; }
u64 ecam_base() { return ecam; }

u32 read(Function function, u16 offset, u32 width) {
    if (ecam == 0) {
        out32(kAddressPort, 0x8000'0000 | u32{function} << 8 | (offset & 0xfc));
        const u16 port = static_cast<u16>(kDataPort + (offset & 3));
        return width == 1 ? in8(port) : width == 2 ? in16(port) : in32(port);
    }
    // SAFETY: set_up() mapped bus 0; offsets are below 4096.
    const u64 at = ecam + function * kFunctionBytes + offset;
    if (width == 1) return *reinterpret_cast<const volatile u8*>(at);
    if (width == 2) return *reinterpret_cast<const volatile u16*>(at);
    return *reinterpret_cast<const volatile u32*>(at);
}

void write(Function function, u16 offset, u32 width, u32 value) {
    if (ecam == 0) {
        out32(kAddressPort, 0x8000'0000 | u32{function} << 8 | (offset & 0xfc));
        const u16 port = static_cast<u16>(kDataPort + (offset & 3));
        if (width == 1) return out8(port, static_cast<u8>(value));
        if (width == 2) return out16(port, static_cast<u16>(value));
        return out32(port, value);
    }
    // SAFETY: as in read().
    const u64 at = ecam + function * kFunctionBytes + offset;
    if (width == 1) {
        *reinterpret_cast<volatile u8*>(at) = static_cast<u8>(value);
    } else if (width == 2) {
        *reinterpret_cast<volatile u16*>(at) = static_cast<u16>(value);
    } else {
        *reinterpret_cast<volatile u32*>(at) = value;
    }
}

bool find_function(u32 from, Function& found) {
    constexpr u8 kMultifunction = 0x80;
    for (u32 at = from; at < kSlots * kFunctions;) {
        const u8 first = static_cast<u8>(at & ~u32{7});
        const u32 next_slot = u32{first} + kFunctions;
        if ((at & 7) != 0 && (read8(first, kHeaderType) & kMultifunction) == 0) {
            at = next_slot;
            continue;
        }
        const u32 vendor = read32(static_cast<u8>(at), kVendor) & 0xffff;
        if (vendor != 0xffff && vendor != 0) {
            found = static_cast<Function>(at);
            return true;
        }
        at = (at & 7) == 0 ? next_slot : at + 1;  // without a function 0 the others do not exist
    }
    return false;
}

u8 find_capability(Function function, u8 id, u8 after) {
    constexpr u16 kHasCapabilities = 1 << 4;
    constexpr u32 kCapabilitiesMax = 48;
    if ((read16(function, kStatus) & kHasCapabilities) == 0) return 0;
    u8 at = read8(function, after == 0 ? kCapabilities : static_cast<u16>(after + 1));
    for (u32 n = 0; n < kCapabilitiesMax && at >= 0x40; ++n) {
        at &= 0xfc;
        const u16 head = read16(function, at);
        if ((head & 0xff) == id || id == 0) return at;
        at = static_cast<u8>(head >> 8);
    }
    return 0;
}

Bar read_bar(Function function, u32 index) {
    const u32 low = read32(function, bar_offset(index));
    if ((low & 1) != 0) return {low & ~u64{3}, 0, true, false};
    Bar bar{low & ~u64{15}, 0, false, (low & 6) == 4};
    if (bar.is_64bit) bar.address |= u64{read32(function, bar_offset(index + 1))} << 32;
    return bar;
}

void write_bar(Function function, u32 index, u64 address) {
    write32(function, bar_offset(index), static_cast<u32>(address));
    if (read_bar(function, index).is_64bit)
        write32(function, bar_offset(index + 1), static_cast<u32>(address >> 32));
}

Bar size_bar(Function function, u32 index) {
    const u16 command = read16(function, kCommand);
    write16(function, kCommand, static_cast<u16>(command & ~(kDecodePorts | kDecodeMemory)));
    Bar bar = read_bar(function, index);
    write_bar(function, index, ~u64{0});
    const u64 ones = read_bar(function, index).address;
    write_bar(function, index, bar.address);
    write16(function, kCommand, command);
    if (ones == 0) return bar;
    if (bar.is_port) {
        bar.size_bytes = ((~ones) & 0xffff) + 1;  // the upper half of an I/O BAR need not be implemented
    } else {
        bar.size_bytes = bar.is_64bit ? ~ones + 1 : (~ones & 0xffff'ffff) + 1;
    }
    return bar;
}

u64 allocate_memory(u64 size_bytes) {
    const u64 first = align_up(next_memory, size_bytes < 0x1000 ? 0x1000 : size_bytes);
    next_memory = first + size_bytes;
    return first;
}

void enable(Function function) {
    for (u32 index = 0; index < kBars; ++index) {
        Bar bar = read_bar(function, index);
        if (bar.address == 0) {
            bar = size_bar(function, index);
            if (bar.size_bytes != 0 && bar.is_port) {
                next_port = static_cast<u32>(align_up(next_port, bar.size_bytes));
                write_bar(function, index, next_port);
                next_port += static_cast<u32>(bar.size_bytes);
            } else if (bar.size_bytes != 0) {
                write_bar(function, index, allocate_memory(bar.size_bytes));
            }
            bar = read_bar(function, index);
        }
        // A BAR larger than a page does not belong to a virtio device, or is not needed beyond its first 2
        // MiB.
        if (!bar.is_port && bar.address != 0) map_address(bar.address);
        if (bar.is_64bit) ++index;
    }
    const u16 command = read16(function, kCommand);
    const u16 wanted = static_cast<u16>(command | kDecodePorts | kDecodeMemory | kBusMaster);
    if (command != wanted) write16(function, kCommand, wanted);
}

bool Msix::find(Function function) {
    function_ = function;
    capability_ = find_capability(function, kCapabilityMsix, 0);
    if (capability_ == 0) return false;
    size_ = (read16(function, static_cast<u16>(capability_ + kMsixControl)) & 0x7ff) + 1U;
    table_ = msix_target(function, capability_, kMsixTable);
    pending_ = msix_target(function, capability_, kMsixPending);
    map_range(table_, u64{size_} * 16);
    map_range(pending_, align_up(size_, 64) / 8);
    return true;
}

void Msix::set(u32 entry, u8 vector) const {
    const u64 at = table_ + u64{entry} * 16;
    mmio_write(at, 0xfee0'0000);
    mmio_write(at + 4, 0);
    mmio_write(at + 8, vector);
    mmio_write(at + 12, 0);
}

void Msix::mask(u32 entry, bool masked) const { mmio_write(table_ + u64{entry} * 16 + 12, masked ? 1 : 0); }

bool Msix::is_masked(u32 entry) const { return (mmio_read(table_ + u64{entry} * 16 + 12) & 1) != 0; }

bool Msix::is_pending(u32 entry) const {
    return (mmio_read(pending_ + entry / 32 * 4) >> entry % 32 & 1) != 0;
}

void Msix::enable(bool enabled, bool function_masked) const {
    const u32 control = (enabled ? kMsixEnable : 0U) | (function_masked ? kMsixFunctionMask : 0U);
    write16(function_, static_cast<u16>(capability_ + kMsixControl), static_cast<u16>(control));
}

}  // namespace guest::pci
