// SPDX-License-Identifier: Apache-2.0
// CountedTable: the layout that kvm_cpuid2, kvm_msrs and kvm_irq_routing share, a count, a second word and
// entries, with room for entries. The kernel's own structs end in a flexible array, which C++ cannot hold by
// value and whose offset its header even gets wrong there (the empty struct before it takes a byte).
// Entries past the count are neither initialised nor copied: most tables are mostly empty, and each page of
// one that is written is memory of the monitor, and a page fault of the boot.
#pragma once

#include <algorithm>
#include <array>
#include <span>

#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "vmm/error/ints.h"

namespace mayfly {

constexpr unsigned kCountedHeaderBytes = 8;

/// Requests on such tables, by the size that C gives the structs: the header's own macros come out wrong in
/// C++.
constexpr unsigned long kGetSupportedCpuid = _IOC(_IOC_READ | _IOC_WRITE, KVMIO, 0x05, kCountedHeaderBytes);
constexpr unsigned long kSetCpuid2 = _IOC(_IOC_WRITE, KVMIO, 0x90, kCountedHeaderBytes);
constexpr unsigned long kGetMsrs = _IOC(_IOC_READ | _IOC_WRITE, KVMIO, 0x88, kCountedHeaderBytes);
constexpr unsigned long kSetMsrs = _IOC(_IOC_WRITE, KVMIO, 0x89, kCountedHeaderBytes);
constexpr unsigned long kSetGsiRouting = _IOC(_IOC_WRITE, KVMIO, 0x6a, kCountedHeaderBytes);

template <typename Entry, std::size_t kMax>
struct CountedTable {
    static_assert(alignof(Entry) <= 8, "entries start kCountedHeaderBytes in, as in the kernel's C layout");

    u32 count = 0;
    u32 flags_or_pad = 0;
    std::array<Entry, kMax> entries;

    CountedTable() {}
    CountedTable(const CountedTable& other) { *this = other; }
    CountedTable& operator=(const CountedTable& other) {
        if (this == &other) return *this;
        count = other.count;
        flags_or_pad = other.flags_or_pad;
        std::ranges::copy(other.filled(), entries.begin());
        return *this;
    }
    ~CountedTable() = default;

    [[nodiscard]] std::span<Entry> filled() { return std::span(entries).first(count); }
    [[nodiscard]] std::span<const Entry> filled() const { return std::span(entries).first(count); }
};

}  // namespace mayfly
