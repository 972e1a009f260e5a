// SPDX-License-Identifier: Apache-2.0
// PCI from the guest's side, bus 0 only: configuration space by ECAM or by CF8/CFC, capabilities, BARs,
// MSI-X.
//
// Works from ring 3 (user.h) and ring 0. Spec: PCI Local Bus Specification 3.0 §3.2.2.3 "Configuration Space
// Decoding", §6.1 "Configuration Space Organization", §6.2.5 "Base Addresses", §6.7 "Capabilities List",
// §6.8.2 "MSI-X Capability and Table Structures"; PCI Firmware Specification 3.3 §4.1.2 "MCFG Table
// Description".
#pragma once

#include "firmware/guests/runtime/report.h"

namespace guest::pci {

constexpr u32 kSlots = 32;
constexpr u32 kFunctions = 8;
constexpr u32 kBars = 6;

// Offsets in configuration space.
constexpr u16 kVendor = 0x00;
constexpr u16 kDevice = 0x02;
constexpr u16 kCommand = 0x04;
constexpr u16 kStatus = 0x06;
constexpr u16 kRevisionAndClass = 0x08;
constexpr u16 kHeaderType = 0x0e;
constexpr u16 kBar0 = 0x10;
constexpr u16 kSubsystemVendor = 0x2c;
constexpr u16 kSubsystem = 0x2e;
constexpr u16 kCapabilities = 0x34;
constexpr u16 kInterruptLine = 0x3c;
constexpr u16 kInterruptPin = 0x3d;

constexpr u16 kDecodePorts = 1 << 0;
constexpr u16 kDecodeMemory = 1 << 1;
constexpr u16 kBusMaster = 1 << 2;
constexpr u16 kNoIntx = 1 << 10;

constexpr u8 kCapabilityMsix = 0x11;
constexpr u8 kCapabilityVendor = 0x09;

/// Chooses how configuration space is reached: `cf8` or `ecam=ADDRESS` of the command line, else what ACPI's
/// MCFG says, else 0xe0000000.
void set_up();
[[nodiscard]] bool is_by_ports();
[[nodiscard]] u64 ecam_base();

/// A function of bus 0: slot << 3 | function.
using Function = u8;

[[nodiscard]] u32 read(Function function, u16 offset, u32 width);
void write(Function function, u16 offset, u32 width, u32 value);
inline u8 read8(Function f, u16 offset) { return static_cast<u8>(read(f, offset, 1)); }
inline u16 read16(Function f, u16 offset) { return static_cast<u16>(read(f, offset, 2)); }
inline u32 read32(Function f, u16 offset) { return read(f, offset, 4); }
inline void write8(Function f, u16 offset, u8 value) { write(f, offset, 1, value); }
inline void write16(Function f, u16 offset, u16 value) { write(f, offset, 2, value); }
inline void write32(Function f, u16 offset, u32 value) { write(f, offset, 4, value); }

/// The next function that exists, at or behind `from` (0 to begin with), as Linux looks for them: other
/// functions than 0 only where the header says so. False at the end.
bool find_function(u32 from, Function& found);

/// The offset of the capability with this id behind `after` (0: from the start), or 0.
[[nodiscard]] u8 find_capability(Function function, u8 id, u8 after);

struct Bar {
    u64 address;
    u64 size_bytes;  ///< 0: the function has no such BAR
    bool is_port;
    bool is_64bit;
};
/// Without its size; reads only.
[[nodiscard]] Bar read_bar(Function function, u32 index);
/// With its size: switches decoding off and overwrites the BAR, then restores both.
[[nodiscard]] Bar size_bar(Function function, u32 index);
void write_bar(Function function, u32 index, u64 address);
/// Gives an address to each BAR that has none, and enables decoding and bus mastering. Maps the memory ones.
void enable(Function function);
/// A fresh, aligned place for a memory BAR.
[[nodiscard]] u64 allocate_memory(u64 size_bytes);

/// One function's MSI-X table and pending bits.
class Msix final {
  public:
    /// False when the function has none. Its BARs must be enabled.
    bool find(Function function);
    [[nodiscard]] u32 size() const { return size_; }
    [[nodiscard]] u64 table() const { return table_; }
    /// Programs an entry for `vector` at APIC id 0 and unmasks it.
    void set(u32 entry, u8 vector) const;
    void mask(u32 entry, bool masked) const;
    [[nodiscard]] bool is_masked(u32 entry) const;
    [[nodiscard]] bool is_pending(u32 entry) const;
    /// Message control: enable and function mask.
    void enable(bool enabled, bool function_masked) const;

  private:
    Function function_ = 0;
    u8 capability_ = 0;
    u32 size_ = 0;
    u64 table_ = 0;
    u64 pending_ = 0;
};

/// Maps every 2 MiB page of a range.
void map_range(u64 first, u64 size_bytes);

}  // namespace guest::pci
