// SPDX-License-Identifier: Apache-2.0
// map_address(): identity mappings beyond the first 4 GiB, and below where the CPU has no 1 GiB
// pages.
#include "firmware/guests/runtime/cpu.h"
#include "firmware/guests/runtime/report.h"

extern "C" guest::u64 page_tables[12][512];  // entry.S: PML4, PDPT, then page directories

namespace guest {
namespace {

constexpr u64 kTable = 0x07;  // present, writable, user
constexpr u64 kLarge = 0x87;  // the same, large page
constexpr u32 kTablesMax = 12;
constinit u32 tables_used = 4;  // entry.S uses the first two, and two more without 1 GiB pages

}  // namespace

void map_address(u64 address) {
    if (address >> 39 != 0) fail("map: above 512 GiB");  // one PDPT
    u64& pointer = page_tables[1][address >> 30];
    if ((pointer & 0x80) != 0) return;
    if (pointer == 0) {
        if (tables_used == kTablesMax) {
            fail("map: out of page tables");
            exit_guest(failure_count());
        }
        pointer = reinterpret_cast<u64>(page_tables[tables_used++]) | kTable;
    }
    // SAFETY: the entry was written above or by entry.S and points into page_tables.
    auto* directory = reinterpret_cast<u64*>(pointer & ~u64{0xfff});
    directory[address >> 21 & 511] = align_down(address, MiB(2)) | kLarge;
}

}  // namespace guest
