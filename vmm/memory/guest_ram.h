// SPDX-License-Identifier: Apache-2.0
// GuestRam: owns the host memory behind guest RAM, and can put file pages into it without copying.
//
// RAM is private anonymous memory, not populated ahead unless asked: a page costs when it is first touched.
// The guest sees it from 0 up to the hole below 4 GiB and, when there is more, from 4 GiB on.
//
// Thread: built and filled by one thread before any vCPU runs; memory() may then be used by any.
#pragma once

#include <span>
#include <vector>

#include "vmm/error/result.h"
#include "vmm/memory/guest_memory.h"
#include "vmm/os/mapping.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

struct GuestRamOptions {
    u64 size_bytes;  ///< a multiple of 4 KiB, at least 4 KiB
    Gpa hole_base;   ///< RAM stops here and continues at 4 GiB
};

/// A part of RAM, in bytes from its beginning: the hole does not count.
struct RamRange {
    u64 begin = 0;
    u64 end = 0;
};

class GuestRam {
  public:
    static constexpr Gpa kAboveHole{GiB(4)};

    /// Errors: the host's address space or overcommit limit is too small.
    static Result<GuestRam> create(GuestRamOptions options);

    [[nodiscard]] const GuestMemory& memory() const { return memory_; }
    /// All of it, in the order of addresses. Never dereferenced while a guest runs.
    [[nodiscard]] std::span<std::byte> bytes() const { return mapping_.bytes(); }
    /// What map_file() has mapped: pages there may have content though nobody has touched them.
    [[nodiscard]] const std::vector<RamRange>& file_ranges() const { return file_ranges_; }
    /// Where the guest sees this byte of bytes().
    [[nodiscard]] Gpa address_of(u64 offset_bytes) const;

    /// Maps `size_bytes` of a file at `at`, private, instead of copying them. All three of `at`,
    /// `offset_bytes` and `size_bytes` are page multiples and the range is inside RAM (VERIFY).
    /// Errors: mmap's.
    Result<void> map_file(Gpa at, const UniqueFd& fd, u64 offset_bytes, u64 size_bytes);

    /// Moves whole private anonymous pages from `from` to `at`; the source range is left unmapped.
    /// Same conditions as map_file.
    Result<void> move_pages(Gpa at, std::byte* from, u64 size_bytes);

    /// Makes private copies of pages that the guest is sure to write, as if each had been written; their
    /// bytes stay. Where a host refuses (before Linux 5.14, or short of memory), a page is copied when it is
    /// touched. `at` and `size_bytes` as for map_file; there is at least a page.
    void populate(Gpa at, u64 size_bytes);

    /// For a guest that will use most of the memory that it touches: asks for huge pages, on a host that
    /// gives them on advice only. Where the host refuses, pages are small. Before anything is mapped.
    void advise_huge();

  private:
    GuestRam(Mapping mapping, GuestMemory memory) : mapping_(std::move(mapping)), memory_(memory) {}
    [[nodiscard]] std::byte* page_range(Gpa at, u64 size_bytes) const;

    Mapping mapping_;
    GuestMemory memory_;
    std::vector<RamRange> file_ranges_;
};

}  // namespace mayfly
