// SPDX-License-Identifier: Apache-2.0
// ExitCounts: how often one vCPU returned to user space, by reason and by address.
//
// Counting is always on: a table look-up against an exit that costs a thousand times more.
// Thread: written by the vCPU's own thread; read after it has stopped.
#pragma once

#include <array>
#include <span>

#include "vmm/error/ints.h"

namespace mayfly {

enum class ExitSpace : u8 { PortIn, PortOut, MmioRead, MmioWrite };

struct AddressCount {
    u64 address = 0;  ///< a port, or the address of an MMIO page
    ExitSpace space = ExitSpace::PortIn;
    u64 returns = 0;  ///< 0: the row is free
    u64 bytes = 0;
};

class ExitCounts {
  public:
    static constexpr std::size_t kReasonsMax = 64;
    static constexpr std::size_t kRows = 128;

    void count_reason(u32 reason) { ++by_reason_[reason < kReasonsMax ? reason : kReasonsMax - 1]; }
    void count_interrupted() { ++interrupted_; }
    void count_address(ExitSpace space, u64 address, u64 bytes);

    /// Counts a return of KVM_RUN.
    [[nodiscard]] u64 returns() const;
    [[nodiscard]] u64 interrupted() const { return interrupted_; }
    [[nodiscard]] std::span<const u64> by_reason() const { return by_reason_; }
    [[nodiscard]] std::span<const AddressCount> rows() const { return rows_; }
    /// Returns at addresses without a free row: a guest that sweeps all ports.
    [[nodiscard]] u64 elsewhere() const { return elsewhere_; }

    void add(const ExitCounts& other);

  private:
    AddressCount* row_for(ExitSpace space, u64 address);

    std::array<u64, kReasonsMax> by_reason_{};
    std::array<AddressCount, kRows> rows_{};
    u64 elsewhere_ = 0;
    u64 interrupted_ = 0;
};

}  // namespace mayfly
