// SPDX-License-Identifier: Apache-2.0
#include "vmm/memory/guest_ram.h"

#include <algorithm>

#include <sys/mman.h>

#include "vmm/error/verify.h"

namespace mayfly {

Result<GuestRam> GuestRam::create(GuestRamOptions options) {
    // no guest: --memory is checked and rounded before; the hole is the layout's.
    VERIFY(options.size_bytes >= kPageBytes && options.size_bytes % kPageBytes == 0);
    VERIFY(options.hole_base.value % kPageBytes == 0 && options.hole_base <= kAboveHole);
    // 2 MiB alignment lets the host back equally aligned guest ranges with huge pages.
    const u64 alignment = options.size_bytes >= MiB(2) ? MiB(2) : kPageBytes;
    Mapping mapping = TRY(Mapping::anonymous(options.size_bytes, alignment));
    const u64 low = std::min(options.size_bytes, options.hole_base.value);
    std::array<GuestRegion, 2> regions{
        GuestRegion{Gpa{0}, low, mapping.data()},
        GuestRegion{kAboveHole, options.size_bytes - low, mapping.data() + low}};
    const std::size_t count = options.size_bytes > low ? 2 : 1;
    GuestMemory memory(std::span<const GuestRegion>(regions).first(count));
    return GuestRam(std::move(mapping), memory);
}

std::byte* GuestRam::page_range(Gpa at, u64 size_bytes) const {
    // no guest: loaders place whole pages where Occupancy::claim() found RAM, before the guest runs.
    VERIFY(at.value % kPageBytes == 0 && size_bytes % kPageBytes == 0);
    const std::optional<GuestSpan> span = memory_.span(at, size_bytes);
    // no guest: as above: Occupancy claims RAM only.
    VERIFY(span.has_value());
    return static_cast<std::byte*>(span->host_base);
}

Result<void> GuestRam::map_file(Gpa at, const UniqueFd& fd, u64 offset_bytes, u64 size_bytes) {
    // no guest: Image::place() maps whole pages and copies the rest.
    VERIFY(offset_bytes % kPageBytes == 0);
    std::byte* const place = page_range(at, size_bytes);
    void* mapped = ::mmap(place, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE,
                          fd.get(), static_cast<off_t>(offset_bytes));
    if (mapped == MAP_FAILED) return fail(Error::os("mmap"));
    const auto begin = static_cast<u64>(place - mapping_.data());
    file_ranges_.push_back({.begin = begin, .end = begin + size_bytes});
    return {};
}

Gpa GuestRam::address_of(u64 offset_bytes) const {
    const GuestRegion& low = memory_.regions().front();
    return offset_bytes < low.size_bytes ? Gpa{offset_bytes} : kAboveHole + (offset_bytes - low.size_bytes);
}

Result<void> GuestRam::move_pages(Gpa at, std::byte* from, u64 size_bytes) {
    void* moved =
        ::mremap(from, size_bytes, size_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, page_range(at, size_bytes));
    if (moved == MAP_FAILED) return fail(Error::os("mremap"));
    return {};
}

void GuestRam::populate(Gpa at, u64 size_bytes) {
    (void)::madvise(page_range(at, size_bytes), size_bytes, MADV_POPULATE_WRITE);
}

void GuestRam::advise_huge() { (void)::madvise(mapping_.data(), mapping_.size_bytes(), MADV_HUGEPAGE); }

}  // namespace mayfly
