// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/cpu_tables.h"

#include <array>

#include "firmware/layout.h"
#include "vmm/error/verify.h"

namespace mayfly {

namespace {

// Intel SDM Vol. 3A §3.4.5 "Segment Descriptors": base 0, limit 4 GiB, present, ring 0, accessed.
constexpr u64 kCode64 = 0x00af'9b00'0000'ffff;
constexpr u64 kCode32 = 0x00cf'9b00'0000'ffff;
constexpr u64 kData = 0x00cf'9300'0000'ffff;
/// A busy TSS at 0, never used: VM entry requires a valid task register.
constexpr u64 kTss = 0x0000'8b00'0000'0067;

// Intel SDM Vol. 3A §4.5.4 "Linear-Address Translation with 4-Level Paging and 5-Level Paging".
constexpr u64 kPresentWritable = 0x3;
constexpr u64 kPresentWritableLarge = 0x83;
constexpr u64 kTableBytes = 4096;
constexpr u64 kEntries = 512;
constexpr u64 kDirectories = 4;
static_assert(layout::kPageTablesBytes == (2 + kDirectories) * kTableBytes);

void write_page_tables(const GuestMemory& memory, Gpa pml4) {
    const Gpa pdpt = pml4 + kTableBytes;
    const Gpa directories = pdpt + kTableBytes;
    VERIFY(memory.write_object<u64>(pml4, pdpt.value | kPresentWritable) == MemStatus::Ok);
    std::array<u64, kEntries> directory;
    for (u64 gib = 0; gib < kDirectories; gib++) {
        const Gpa at = directories + gib * kTableBytes;
        VERIFY(memory.write_object<u64>(pdpt + gib * sizeof(u64), at.value | kPresentWritable) ==
               MemStatus::Ok);
        for (u64 i = 0; i < kEntries; i++) directory[i] = (GiB(gib) + MiB(2) * i) | kPresentWritableLarge;
        VERIFY(memory.write(at, std::as_bytes(std::span(directory))) == MemStatus::Ok);
    }
}

/// Linux on hardware-reduced ACPI without EFI reboots by a jump to the BIOS's entry in real mode. It ends in
/// the reset control register: mov $0xcf9,%dx; mov $6,%al; out %al,(%dx); 1: hlt; jmp 1b.
void write_reset_vector(const GuestMemory& memory) {
    constexpr std::array<u8, 9> kReset{
        0xba, layout::kPortReset & 0xff, layout::kPortReset >> 8, 0xb0, 0x06, 0xee, 0xf4, 0xeb, 0xfd};
    static_assert(sizeof(kReset) <= layout::kHighMemory.value - layout::kResetVector.value);
    VERIFY(memory.write(layout::kResetVector, std::as_bytes(std::span(kReset))) == MemStatus::Ok);
}

}  // namespace

Result<EntryState> prepare_cpu(const GuestMemory& memory, Occupancy& occupancy, CpuMode mode) {
    constexpr u64 kStackBytes = layout::kBootStackTop - layout::kBootStackBottom;
    EntryState entry{.mode = mode};
    entry.gdt = TRY(occupancy.place(layout::kGdt, layout::kGdtBytes, "the boot GDT"));
    entry.rsp =
        TRY(occupancy.place(layout::kBootStackBottom, kStackBytes, "the boot stack")).value + kStackBytes;
    const u64 code = mode == CpuMode::Long64 ? kCode64 : kCode32;
    // Null, unused, code (0x10), data (0x18), TSS (0x20; its upper half in long mode is zero).
    const std::array<u64, 6> gdt{0, 0, code, kData, kTss, 0};
    static_assert(sizeof(gdt) <= layout::kGdtBytes);
    VERIFY(memory.write(entry.gdt, std::as_bytes(std::span(gdt))) == MemStatus::Ok);
    if (mode == CpuMode::Long64) {
        entry.page_tables =
            TRY(occupancy.place(layout::kPageTables, layout::kPageTablesBytes, "the boot page tables"));
        write_page_tables(memory, entry.page_tables);
    }
    write_reset_vector(memory);
    return entry;
}

}  // namespace mayfly
