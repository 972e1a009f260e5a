// SPDX-License-Identifier: Apache-2.0
// A snapshot's file `memory`: guest RAM byte for byte, without the hole below 4 GiB. Pages of zeros are holes
// of the file. Blocks of 2 MiB that have any other page are listed.
//
// Written from a paused machine; mapped privately under another one, which must not see the file change.
// Thread: any.
#pragma once

#include <vector>

#include "vmm/memory/guest_ram.h"
#include "vmm/snapshot/format/coded_types.h"
#include "vmm/threads/stop_token.h"

namespace mayfly {

inline constexpr u64 kMemoryBlockBytes = u64{2} << 20;

struct MemoryRecord {
    u64 ram_bytes = 0;
    std::vector<u8> blocks;  ///< a bit for each, from the lowest on: it is in the file
    u64 data_bytes = 0;      ///< of pages that are not zeros

    [[nodiscard]] bool has_block(u64 block) const { return (blocks[block / 8] >> block % 8 & 1) != 0; }
    [[nodiscard]] u64 block_count() const { return (ram_bytes + kMemoryBlockBytes - 1) / kMemoryBlockBytes; }
};

template <typename Coder>
void fields(Coder& coder, coded::As<MemoryRecord> auto& record) {
    auto& [ram_bytes, blocks, data_bytes] = record;
    coder(ram_bytes, blocks, data_bytes);
}

/// Into an empty file. Errors: Os; Stopped; Host where the kernel does not tell which pages exist.
Result<MemoryRecord> write_memory(const UniqueFd& file, const GuestRam& ram, StopToken stop);

/// RAM of `record.ram_bytes` with the file's content. The record may be a stranger's. Errors: Invalid for a
/// record that is impossible or a file of another size; Os.
Result<GuestRam> map_memory(const UniqueFd& file, const MemoryRecord& record, Gpa hole_base);

}  // namespace mayfly
