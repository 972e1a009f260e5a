// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/vcpu/exit_counts.h"

#include <numeric>

namespace mayfly {

namespace {
constexpr u64 kPageMask = ~(kPageBytes - 1);
constexpr std::size_t kProbesMax = 8;
}  // namespace

AddressCount* ExitCounts::row_for(ExitSpace space, u64 address) {
    const u64 hash = (address ^ (address >> 12) ^ static_cast<u64>(space) << 5) * 0x9e37'79b9'7f4a'7c15;
    for (std::size_t probe = 0; probe < kProbesMax; ++probe) {
        AddressCount& row = rows_[((hash >> 32) + probe) % kRows];
        if (row.returns == 0) {
            row.address = address;
            row.space = space;
            return &row;
        }
        if (row.address == address && row.space == space) return &row;
    }
    return nullptr;
}

void ExitCounts::count_address(ExitSpace space, u64 address, u64 bytes) {
    const bool is_mmio = space == ExitSpace::MmioRead || space == ExitSpace::MmioWrite;
    AddressCount* row = row_for(space, is_mmio ? address & kPageMask : address);
    if (row == nullptr) {
        ++elsewhere_;
        return;
    }
    ++row->returns;
    row->bytes += bytes;
}

u64 ExitCounts::returns() const { return std::accumulate(by_reason_.begin(), by_reason_.end(), u64{0}); }

void ExitCounts::add(const ExitCounts& other) {
    for (std::size_t i = 0; i < kReasonsMax; ++i) by_reason_[i] += other.by_reason_[i];
    interrupted_ += other.interrupted_;
    elsewhere_ += other.elsewhere_;
    for (const AddressCount& theirs : other.rows_) {
        if (theirs.returns == 0) continue;
        AddressCount* row = row_for(theirs.space, theirs.address);
        if (row == nullptr) {
            elsewhere_ += theirs.returns;
            continue;
        }
        row->returns += theirs.returns;
        row->bytes += theirs.bytes;
    }
}

}  // namespace mayfly
