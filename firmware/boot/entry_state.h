// SPDX-License-Identifier: Apache-2.0
// EntryState: the registers a boot protocol promises to its kernel, as plain values.
#pragma once

#include "firmware/layout.h"
#include "vmm/error/ints.h"
#include "vmm/memory/gpa.h"

namespace mayfly {

enum class CpuMode : u8 {
    Protected32,  ///< flat 4 GiB segments, CS 0x10, DS/ES/SS 0x18, paging off
    Long64,       ///< the same selectors, identity map of 0-4 GiB, CR0.WP set
};

struct EntryState {
    CpuMode mode = CpuMode::Protected32;
    u64 rip = 0;
    u64 rsp = 0;
    u64 rax = 0;
    u64 rbx = 0;
    u64 rsi = 0;
    Gpa gdt = layout::kGdt;
    Gpa page_tables = layout::kPageTables;  ///< for Long64
};

}  // namespace mayfly
