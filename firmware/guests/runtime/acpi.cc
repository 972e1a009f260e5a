// SPDX-License-Identifier: Apache-2.0
// Just enough of ACPI to find the configuration space.
// Spec: ACPI 6.5 §5.2.5.3 "Root System Description Pointer (RSDP) Structure", §5.2.6 "System Description
// Table Header", §5.2.8 "Extended System Description Table (XSDT)"; PCI Firmware Specification 3.3 §4.1.2
// "MCFG Table Description".
#include "firmware/guests/runtime/boot_info.h"

extern "C" guest::u32 boot_record[2];  // entry.S

namespace guest {
namespace {

constexpr u64 kBiosFirst = 0xe0000;
constexpr u64 kBiosEnd = 0x100000;
constexpr u64 kPointerSignature = 0x2052'5450'2044'5352;  // "RSD PTR "
constexpr u32 kMcfg = 0x4746'434d;                        // "MCFG"
constexpr u64 kHeaderBytes = 36;

/// SAFETY of both: below 1 MiB, or in a page that visit() mapped.
u32 peek32(u64 at) { return *reinterpret_cast<const volatile u32*>(at); }
u64 peek64(u64 at) { return peek32(at) | u64{peek32(at + 4)} << 32; }

void visit(u64 table) {
    map_address(table);
    map_address(table + peek32(table + 4));
}

/// Linux: boot_params.acpi_rsdp_addr; PVH: start_info.rsdp_paddr.
u64 pointer_of_boot_information() {
    switch (boot_protocol()) {
        case BootProtocol::Linux: return peek64(u64{boot_record[1]} + 0x70);
        case BootProtocol::Pvh: return peek64(u64{boot_record[1]} + 32);
        default: return 0;
    }
}

u64 root_pointer() {
    const u64 told = pointer_of_boot_information();
    if (told != 0) {
        map_address(told);
        if (peek64(told) == kPointerSignature) return told;
    }
    for (u64 at = kBiosFirst; at < kBiosEnd; at += 16) {
        if (peek64(at) == kPointerSignature) return at;
    }
    return 0;
}

}  // namespace

u64 acpi_ecam_base() {
    const u64 pointer = root_pointer();
    if (pointer == 0) return 0;
    const bool is_extended = (peek32(pointer + 12) >> 24) >= 2 && peek64(pointer + 24) != 0;
    const u64 root = is_extended ? peek64(pointer + 24) : peek32(pointer + 16);
    const u64 entry_bytes = is_extended ? 8 : 4;
    visit(root);
    const u64 end = root + peek32(root + 4);
    for (u64 at = root + kHeaderBytes; at < end; at += entry_bytes) {
        const u64 table = is_extended ? peek64(at) : peek32(at);
        visit(table);
        if (peek32(table) == kMcfg) return peek64(table + kHeaderBytes + 8);
    }
    return 0;
}

}  // namespace guest
