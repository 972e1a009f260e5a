// SPDX-License-Identifier: Apache-2.0
// CountedTable: the layout that kvm_cpuid2, kvm_msrs and kvm_irq_routing share, a count, a second word and entries,
// with room for entries (the kernel's own structs end in a flexible array, which C++ cannot hold by value).
#pragma once

#include <array>
#include <span>

#include "vmm/error/ints.h"

namespace mayfly {

template <typename Entry, std::size_t kMax>
struct CountedTable {
    u32 count = 0;
    u32 flags_or_pad = 0;
    std::array<Entry, kMax> entries{};

    [[nodiscard]] std::span<Entry> filled() { return std::span(entries).first(count); }
    [[nodiscard]] std::span<const Entry> filled() const { return std::span(entries).first(count); }
};

}  // namespace mayfly
