// SPDX-License-Identifier: Apache-2.0
// Registers of the I/O APIC. Spec: Intel ICH9 (316972) §13.5 "APIC Registers (D31:F0)"; the message that an
// entry makes: Intel SDM Vol. 3A §11.11 "Message Signalled Interrupts".
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::io_apic {

// Memory-mapped.
constexpr u64 kIndex = 0x00;   ///< 8 bits
constexpr u64 kWindow = 0x10;  ///< 32 bits, to be accessed at once

// By index.
constexpr u8 kId = 0x00;
constexpr u8 kVersion = 0x01;
constexpr u8 kArbitration = 0x02;  ///< of the 82093AA, whose version this chip has, and of ICH2
constexpr u8 kRedirection = 0x10;  ///< two for each pin, the low half first

constexpr u32 kIdMask = 0x0f00'0000;
/// Without an EOI register, which version 0x20 has.
constexpr u32 kVersionValue = 0x11;
constexpr u32 kMaximumEntryShift = 16;

// Redirection entry, low half.
constexpr u32 kVectorMask = 0xff;
constexpr u32 kDeliveryModeMask = 0x700;
constexpr u32 kLogicalDestination = 0x800;
constexpr u32 kTriggerLevel = 0x8000;
constexpr u32 kMasked = 0x1'0000;
/// Delivery status (bit 12) and remote IRR (bit 14) are read-only, and always 0 here.
constexpr u32 kWritableLow = 0x1'afff;
// High half.
constexpr u32 kDestinationMask = 0xff00'0000;

// The message.
constexpr u64 kMessageAddress = 0xfee0'0000;
constexpr u32 kMessageDestinationShift = 12;
constexpr u64 kMessageLogical = 1 << 2;
constexpr u32 kMessageAssert = 0x4000;

}  // namespace mayfly::io_apic
