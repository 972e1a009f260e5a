// SPDX-License-Identifier: Apache-2.0
#include "firmware/tables/memory_map.h"

#include <algorithm>

#include "firmware/layout.h"
#include "vmm/error/verify.h"

namespace mayfly {

void MemoryMap::add(MemoryRange range) {
    VERIFY(count_ < kRangesMax);
    ranges_[count_++] = range;
}

MemoryMap MemoryMap::for_ram(u64 ram_bytes) {
    VERIFY(ram_bytes >= layout::kMemoryMin);
    MemoryMap map;
    map.low_ram_end_ = Gpa{std::min(ram_bytes, layout::kHole.value)};
    map.add({Gpa{0}, layout::kEbda.value, MemoryType::Ram});
    map.add({layout::kEbda, layout::kVgaHole - layout::kEbda, MemoryType::Reserved});
    map.add({layout::kAcpi, layout::kHighMemory - layout::kAcpi, MemoryType::Reserved});
    map.add({layout::kHighMemory, map.low_ram_end_ - layout::kHighMemory, MemoryType::Ram});
    map.add({layout::kEcam, layout::kEcamBytes, MemoryType::Reserved});
    if (ram_bytes > layout::kHole.value)
        map.add({layout::kAboveHole, ram_bytes - layout::kHole.value, MemoryType::Ram});
    return map;
}

}  // namespace mayfly
